"""Requests at instants that are set before, whatever the answers do: how users arrive.

Each request has an instant it is due at, and its latency counts from there to the last byte of its answer. A
server (or a load generator) that falls behind therefore shows as latency instead of as fewer requests: no
coordinated omission. A request waits for no other: connections are opened ahead, used in turn so that none is
idle for long, and more are opened when all are busy.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import uvloop

from bench.stream import END_OF_HEAD, Answer, Request, Stream

CONNECTIONS = 32
TICKS_PER_S = 1_000
"""The event loop sleeps whole ones."""

TIMEOUT_S = 30
"""From the last request sent to the last answer."""


@dataclass(slots=True)
class Answers:
    """What came back, in the order in which it came: 200s, other answers, and why others were lost.

    `elapsed_s` is from the start to the last answer; `late_s` how long after it was due a request was sent at most.
    """

    successes: list[Answer] = field(default_factory=list)
    others: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    connections: int = 0
    late_s: float = 0.0
    elapsed_s: float = 0.0

    def __len__(self) -> int:
        return len(self.successes) + len(self.others) + len(self.lost)

    def add(self, answer: Answer) -> None:
        """One more."""
        (self.successes if answer.status == 200 else self.others).append(answer)

    @property
    def seconds(self) -> list[float]:
        """Of the successes."""
        return [answer.seconds for answer in self.successes]

    @property
    def bodies(self) -> list[bytes]:
        """Of the successes."""
        return [answer.body for answer in self.successes]

    @property
    def failures(self) -> list[str]:
        """All others, in words."""
        told = [f"{answer.status} {answer.body[:200].decode(errors='replace')}" for answer in self.others]
        return told + self.lost

    @property
    def achieved_per_s(self) -> float:
        """Successes a second: below the rate that was asked for where a server does not keep up or fails some."""
        return len(self.successes) / self.elapsed_s


def post_request(path: str, host: str, *body: bytes) -> tuple[bytes, ...]:
    """The bytes of a POST with a JSON body, in pieces as the body is."""
    size = sum(map(len, body))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {size}"
    return head.encode() + END_OF_HEAD, *body


def send_at_rate(host: str, port: int, requests: Sequence[Request], per_second: float) -> Answers:
    """Sends the requests evenly spaced and waits for the last answer."""
    return send_at(host, port, requests, [position / per_second for position in range(len(requests))])


def send_at(
    host: str, port: int, requests: Sequence[Request], due_s: Sequence[float], connections: int = CONNECTIONS
) -> Answers:
    """Sends each request so many seconds after the start, in order, and waits for the last answer.

    So many `connections` are opened ahead.
    """
    return uvloop.run(Run(host, port).send_all(requests, due_s, connections))


class Run:
    """One of them."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._answers = Answers()
        self._idle: deque[Stream] = deque()
        self._opened: list[Stream] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        """When there is nothing more to wait for."""
        self._count = 0

    async def send_all(self, requests: Sequence[Request], due_s: Sequence[float], connections: int) -> Answers:
        """See `send_at`."""
        self._count = len(requests)
        self._idle += [await self._connect() for _ in range(connections)]
        started = perf_counter()
        for position, (request, after_s) in enumerate(zip(requests, due_s, strict=True)):
            due = started + after_s
            while (wait := due - perf_counter()) > 0:  # noqa: ASYNC110 - time is what it waits for
                await asyncio.sleep(math.ceil(wait * TICKS_PER_S) / TICKS_PER_S)
            await asyncio.sleep(0)  # for the answers that came, where it is late
            self._send(request, position, due)
            self._answers.late_s = max(self._answers.late_s, perf_counter() - due)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._ended.wait()
        except TimeoutError:
            missing = self._count - len(self._answers)
            self._answers.lost += [f"no answer within {TIMEOUT_S} s"] * missing
        self._answers.elapsed_s = perf_counter() - started
        for stream in self._opened:
            stream.close()
        return self._answers

    def _send(self, request: Request, position: int, due: float) -> None:
        while self._idle:
            stream = self._idle.popleft()
            if not stream.is_closed:
                stream.send(request, position, due)
                return
        task = asyncio.create_task(self._send_over_another(request, position, due))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _send_over_another(self, request: Request, position: int, due: float) -> None:
        try:
            stream = await self._connect()
        except OSError as error:
            self._take_lost(f"no connection: {error!r}")
        else:
            stream.send(request, position, due)

    async def _connect(self) -> Stream:
        self._answers.connections += 1
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(
            lambda: Stream(self._idle.append, self._take, self._take_lost), self._host, self._port
        )
        self._opened.append(stream)
        return stream

    def _take(self, answer: Answer) -> None:
        self._answers.add(answer)
        self._look_whether_ended()

    def _take_lost(self, why: str) -> None:
        self._answers.lost.append(why)
        self._look_whether_ended()

    def _look_whether_ended(self) -> None:
        if len(self._answers) >= self._count:
            self._ended.set()
