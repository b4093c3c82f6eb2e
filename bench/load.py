"""The load of the batch benchmarks: so many batches in flight, whoever answers them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import NamedTuple

from bench.batch_form import Ask
from bench.connection import Connection
from bench.server import Server

IN_FLIGHT = 4
"""Two cores are full with them, the product's and the echo's; with more each only waits longer, and the echo gains a
twentieth (docs/performance.md, Growth)."""


class Sent(NamedTuple):
    """One round: seconds from the first byte sent to the last received, and of each ask in order the answer and the
    seconds it took, from send to last byte."""

    seconds: float
    answers: list[bytes]
    waits: list[float]


class Load:
    """As many connections as batches in flight, each with a thread of its own, evenly over the servers."""

    def __init__(self, *servers: Server) -> None:
        lanes = [servers[lane % len(servers)] for lane in range(IN_FLIGHT)]
        self._connections = [Connection(server.host, server.port) for server in lanes]
        self._threads = ThreadPoolExecutor(IN_FLIGHT)
        self.first = self._connections[0]

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def send(self, asks: Sequence[Ask]) -> Sent:
        """Sends them all; raises `Refused` if one fails.

        The connections are open before and closed after: a server ends those that are idle between two rounds.
        """
        answers, waits = [b""] * len(asks), [0.0] * len(asks)

        left = iter(range(len(asks)))  # shared: whichever lane is free takes the next

        def work(lane: int) -> None:
            for index in left:
                answers[index] = self._connections[lane].post(*asks[index])
                waits[index] = self._connections[lane].seconds

        for connection in self._connections:
            connection.open()
        began = perf_counter()
        for done in [self._threads.submit(work, lane) for lane in range(IN_FLIGHT)]:
            done.result()
        seconds = perf_counter() - began
        for connection in self._connections:
            connection.close()
        return Sent(seconds, answers, waits)
