"""So many requests in flight, each answer followed by the next request: how much a server answers at most."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

import uvloop

from bench.open_loop import TIMEOUT_S, Answers
from bench.stream import Request, Stream

__all__ = ["send_for"]


def send_for(host: str, port: int, requests: Sequence[Request], in_flight: int, seconds: float) -> Answers:
    """Sends the requests in order for so long, or until there are no more, and waits for the last answer.

    As many of them were sent as there are answers.
    """
    return uvloop.run(_send_all(host, port, requests, in_flight, seconds))


async def _send_all(host: str, port: int, requests: Sequence[Request], in_flight: int, seconds: float) -> Answers:
    answers = Answers(connections=in_flight)
    idle: asyncio.Queue[Stream | None] = asyncio.Queue()

    def lost(why: str) -> None:
        answers.lost.append(why)
        idle.put_nowait(None)  # that stream is no more

    loop = asyncio.get_running_loop()
    streams = []
    for _ in range(in_flight):
        _, stream = await loop.create_connection(lambda: Stream(idle.put_nowait, answers.add, lost), host, port)
        streams.append(stream)
        idle.put_nowait(stream)
    started = perf_counter()
    async with asyncio.timeout(seconds + TIMEOUT_S):
        for position, request in enumerate(requests):
            free = await idle.get()
            now = perf_counter()
            if free is None or now - started > seconds:
                break
            free.send(request, position, now)
        else:
            free = await idle.get()
        for _ in range(in_flight - 1):  # all others
            await idle.get()
    answers.elapsed_s = perf_counter() - started
    for stream in streams:
        stream.close()
    return answers
