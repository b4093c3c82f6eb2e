"""Requests at a fixed rate, whatever the answers do: how users arrive.

Each request has an instant it is due at, and its latency counts from there to the last byte of its answer. A
server (or a load generator) that falls behind therefore shows as latency instead of as fewer requests: no
coordinated omission. A request waits for no other: connections are opened ahead, used in turn so that none is
idle for long, and more are opened when all are busy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

CONNECTIONS = 32
END_OF_HEAD = b"\r\n\r\n"
TIMEOUT_S = 30


@dataclass(slots=True)
class Answers:
    """What came back: seconds from due to answered of the successes, their bodies, and what else happened.

    `elapsed_s` is from the instant the first request is due to the last answer.
    """

    seconds: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    connections: int = 0
    elapsed_s: float = 0.0

    @property
    def achieved_per_s(self) -> float:
        """Successes a second: below the rate that was asked for where a server does not keep up or fails some."""
        return len(self.seconds) / self.elapsed_s


class Stream:
    """One kept-alive connection that speaks as much HTTP/1.1 as a JSON API needs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Sends the bytes of one request; the status and body of its answer."""
        self._writer.write(request)
        head = (await self._reader.readuntil(END_OF_HEAD)).lower()
        status = int(head[9:12])
        length = head.find(b"content-length:")
        if length < 0:
            raise ValueError("the answer has no length")
        size = int(head[length + 15 : head.index(b"\r\n", length)])
        return status, await self._reader.readexactly(size)

    @property
    def is_closed(self) -> bool:
        """Whether the server ended the connection."""
        return self._reader.at_eof()

    async def close(self) -> None:
        """Closes the socket."""
        self._writer.close()
        await self._writer.wait_closed()


def post_request(path: str, host: str, body: bytes) -> bytes:
    """The bytes of a POST with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + END_OF_HEAD + body


def send_at_rate(host: str, port: int, requests: Sequence[bytes], per_second: float) -> Answers:
    """Sends the requests evenly spaced and waits for the last answer."""
    return asyncio.run(_send_all(host, port, requests, per_second))


async def _send_all(host: str, port: int, requests: Sequence[bytes], per_second: float) -> Answers:
    answers = Answers()
    idle: deque[Stream] = deque()

    async def connect() -> Stream:
        answers.connections += 1
        return Stream(*await asyncio.open_connection(host, port))

    async def send(request: bytes, due: float) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                stream = idle.popleft() if idle else await connect()
                while stream.is_closed:  # the server ends what was idle too long for it
                    stream = idle.popleft() if idle else await connect()
                status, body = await stream.exchange(request)
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            answers.failures.append(repr(error))
            return
        seconds = perf_counter() - due
        idle.append(stream)
        if status == 200:
            answers.seconds.append(seconds)
            answers.bodies.append(body)
        else:
            answers.failures.append(f"{status} {body[:200].decode(errors='replace')}")

    idle += [await connect() for _ in range(CONNECTIONS)]
    started = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for position, request in enumerate(requests):
            due = started + position / per_second
            await asyncio.sleep(max(0.0, due - perf_counter()))
            tasks.create_task(send(request, due))
    answers.elapsed_s = perf_counter() - started
    for stream in idle:
        await stream.close()
    return answers
