"""Three times as much as a server can answer: what becomes of each request, before, meanwhile and after."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import sleep
from typing import Any

from bench import checks
from bench.answers import Outcome
from bench.closed_loop import send_for
from bench.connection import Connection
from bench.open_loop import Answers, send_at
from bench.overload_asks import Asks
from bench.progress import tell
from bench.result import AnswersWrong
from bench.server import Server
from bench.stream import Answer

__all__ = ["Overloaded", "Round", "overload_with"]

ROUNDS = 3
WARM_UP_S = 2.0
CAPACITY_S = 2.0
OVERLOAD_S = 3.0
CALM_S = 2.0
"""Before an overload, and after."""

TIMES = 3.0
CALM = 0.3
"""Both of the capacity."""

REPEATED = 200
"""Of the refused requests, at most."""


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, and how many seconds each waited."""

    capacity_per_s: float
    offered_per_s: float
    answered_per_s: float
    offered: int
    answered_s: list[float]
    refused_s: list[float]
    before_s: list[float]
    """Of those answered before the overload."""
    after_s: list[float]
    """Of those answered after it."""
    recovered_s: float
    """From the end of the overload to the last request that was still refused."""
    connections: int

    @property
    def goodput(self) -> float:
        """Of the capacity."""
        return self.answered_per_s / self.capacity_per_s


@dataclass(slots=True)
class Overloaded:
    """All rounds of one kind."""

    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What was neither answered nor refused as the contract says."""
    repeated: int = 0
    """Requests that were refused, and answered when they came again."""
    decisions: int = 0
    scheduled: int = 0


def overload_with(asks: Asks) -> Overloaded:
    """Rounds of capacity and overload on a server of its own; every answer checked. Raises `AnswersWrong`.

    At the end some of the refused requests are repeated, and the campaign's status is compared with all that was
    answered: what was refused has left no trace.
    """
    with Server() as server:
        return Run(server, asks).run()


class Run:
    """One of them."""

    def __init__(self, server: Server, asks: Asks) -> None:
        self._server, self._asks = server, asks
        self._numbers = itertools.count()
        self._outcomes: list[Outcome] = []
        self._refused: list[tuple[int, int]] = []
        """Numbers of the requests that were refused in the last round, and the seconds after which to ask again."""
        self._result = Overloaded()

    def run(self) -> Overloaded:
        """See `overload_with`."""
        with closing(Connection(self._server.host, self._server.port)) as connection:
            connection.put(f"/campaigns/{self._asks.campaign}", self._asks.campaign_body)
            connection.close()  # the server ends it anyway
            self._capacity(WARM_UP_S)
            for number in range(ROUNDS):
                tell(f"{self._asks.name}, round {number + 1} of {ROUNDS}")
                self._result.rounds.append(self._round())
            self._repeat()
            self._check(connection.get(f"/campaigns/{self._asks.campaign}/status"))
        return self._result

    def _capacity(self, seconds: float) -> float:
        """Requests answered a second, with many in flight."""
        numbers = list(itertools.islice(self._numbers, int(self._asks.fastest_per_s * seconds)))
        requests = [self._asks.request(self._server.host, number) for number in numbers]
        answers = send_for(self._server.host, self._server.port, requests, self._asks.in_flight, seconds)
        self._read(answers, numbers)
        return answers.achieved_per_s

    def _round(self) -> Round:
        capacity = self._capacity(CAPACITY_S)
        begin, end = CALM_S, CALM_S + OVERLOAD_S
        due = [
            *_evenly(0.0, begin, CALM * capacity),
            *_evenly(begin, end, TIMES * capacity),
            *_evenly(end, end + CALM_S, CALM * capacity),
        ]
        answers = self._send(due)
        offered = sum(begin <= at < end for at in due)
        in_time = sum(begin <= due[one.position] + one.seconds < end for one in answers.successes)
        return Round(
            capacity_per_s=capacity,
            offered_per_s=offered / (OVERLOAD_S + answers.late_s),
            answered_per_s=in_time / OVERLOAD_S,
            offered=offered,
            answered_s=_waits(answers.successes, due, begin, end),
            refused_s=_waits(answers.others, due, begin, end),
            before_s=_waits(answers.successes, due, 0.0, begin),
            after_s=_waits(answers.successes, due, end, due[-1] + 1),
            recovered_s=max(
                (due[one.position] - end for one in answers.others if due[one.position] > end), default=0.0
            ),
            connections=answers.connections,
        )

    def _send(self, due: Sequence[float]) -> Answers:
        numbers = list(itertools.islice(self._numbers, len(due)))
        requests = [self._asks.request(self._server.host, number) for number in numbers]
        answers = send_at(self._server.host, self._server.port, requests, due, self._asks.connections)
        self._read(answers, numbers)
        return answers

    def _read(self, answers: Answers, numbers: Sequence[int]) -> None:
        """Takes in what was decided, and what was not. The texts of the answers are needed no more."""
        self._refused = []
        for one in answers.successes:
            self._outcomes += self._asks.outcomes(numbers[one.position], one.body)
        for one in answers.others:
            again_s = one.header(b"retry-after")
            if one.status == 429 and again_s is not None and again_s.isdigit():
                self._refused.append((numbers[one.position], int(again_s)))
            else:
                self._result.failures.append(f"{one.status} {one.body[:200].decode(errors='replace')}")
        self._result.failures += answers.lost

    def _repeat(self) -> None:
        """Asks again for some who were refused, once they may. Each must be answered now, as if for the first time."""
        chosen = self._refused[:: -(-len(self._refused) // REPEATED) or 1]
        if not chosen:
            raise AnswersWrong("nothing was refused, so it was no overload")
        sleep(max(after_s for _, after_s in chosen))
        capacity = self._result.rounds[-1].capacity_per_s
        requests = [self._asks.request(self._server.host, number) for number, _ in chosen]
        due = [position / (CALM * capacity) for position in range(len(chosen))]
        answers = send_at(self._server.host, self._server.port, requests, due)
        self._read(answers, [number for number, _ in chosen])
        self._result.repeated = len(answers.successes)
        self._result.failures += [f"refused again: {number}" for number, _ in self._refused]

    def _check(self, status: dict[str, Any]) -> None:
        """Caps, keys, money, and that the status knows of nothing that was not answered."""
        outcomes = self._outcomes
        faults = checks.check_campaign(outcomes, self._asks.campaign, self._asks.campaign_body, status)
        if faults:
            raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")
        self._result.decisions = len(outcomes)
        self._result.scheduled = sum(outcome.at is not None for outcome in outcomes)


def _evenly(begin_s: float, end_s: float, per_s: float) -> list[float]:
    count = max(1, round((end_s - begin_s) * per_s))
    return [begin_s + position * (end_s - begin_s) / count for position in range(count)]


def _waits(answers: Sequence[Answer], due: Sequence[float], begin_s: float, end_s: float) -> list[float]:
    """Seconds of those that were due in a span."""
    return [one.seconds for one in answers if begin_s <= due[one.position] < end_s]
