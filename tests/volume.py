"""Duels by the million: each seed is a bout of its own, as many at once as there are cores.

    python -m tests.volume --decisions 2000000
    python -m tests.volume --bout 3:scarce:1234567

The first fights fresh seeds on 1, 3 and 7 shards until so many decisions were compared; the second fights one again.
Any difference ends it, with the command that finds it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from engine.config import load_settings
from tests.audited_duel import AuditedDuel
from tests.dispatch_duel import STRICT
from tests.engine_in_process import EngineInProcess
from tests.scarce_duel import ScarceDuel
from tests.strategies import Dice

COMMANDS = 150
QUICK = {"engagement": {"half_life_days": 2.0, "prior_deliveries": 2.0}, "best_hours": {"prior_deliveries": 0.5}}
"""A few events change rates and hours, and are half forgotten two days later."""
OUTCOMES = 12
"""scheduled, invalid and the ten reasons."""

KINDS = {"exact": (AuditedDuel, True), "plenty": (AuditedDuel, False), "scarce": (ScarceDuel, True)}
"""Scarce money decision by decision, as one shard must; none of it, decision by decision; and scarce, in aggregate."""

COURSES = ((1, "exact"), (3, "plenty"), (3, "scarce"), (7, "plenty"), (7, "scarce"), (1, "exact"))
"""What seeds are fought on, in turn."""


@dataclass(frozen=True)
class Bout:
    shards: int
    kind: str
    seed: int

    @classmethod
    def read(cls, text: str) -> Bout:
        shards, kind, seed = text.split(":")
        if kind not in KINDS:
            raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
        return cls(int(shards), kind, int(seed))

    @property
    def command(self) -> str:
        return f"{sys.executable} -m tests.volume --bout {self.shards}:{self.kind}:{self.seed}"


class Outcome(NamedTuple):
    bout: Bout
    tally: Counter[str]
    difference: str


def fight(bout: Bout) -> Outcome:
    """One duel from an empty state to the reading of all there is."""
    dice = Dice(bout.seed)
    people, (duel_of, scarce) = dice.pick((20, 60, 200)), KINDS[bout.kind]
    settings = load_settings(environment={}, options=dice.pick(({}, QUICK, STRICT, QUICK | STRICT)))
    system, table = EngineInProcess(bout.shards, settings), msgspec.to_builtins(settings)
    duel = duel_of(system, table, dice, people=people, campaigns=dice.integer(4, 8))
    duel.scarce, duel.queues = scarce, bout.shards == 1
    try:
        for _ in range(COMMANDS):
            duel.step(size_max=people)
        duel.read_all()
    except AssertionError as difference:
        return Outcome(bout, duel.tally, str(difference))
    return Outcome(bout, duel.tally, "")


def bouts(first: int) -> Iterator[Bout]:
    """One seed after the other, on each course in turn."""
    for number in count():
        shards, kind = COURSES[number % len(COURSES)]
        yield Bout(shards, kind, first + number)


class Score:
    """What was fought so far."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.tally: Counter[str] = Counter()
        self.by_course: Counter[str] = Counter()
        self.bouts = 0

    def add(self, outcome: Outcome) -> None:
        if outcome.difference:
            raise AssertionError(f"{outcome.difference}\n\nfound again by: {outcome.bout.command}")
        self.tally += outcome.tally
        self.by_course[f"{outcome.bout.shards} {outcome.bout.kind}"] += outcome.tally.total()
        self.bouts += 1

    @property
    def decisions(self) -> int:
        return self.tally.total()


def fight_until(wanted: int, first: int, progress: Progress | None = None) -> Score:
    """Fights seeds from `first` on until `wanted` decisions were compared. Raises at the first difference."""
    score, coming = Score(wanted), bouts(first)
    cores = os.cpu_count() or 1
    task = progress.add_task(f"seeds from {first}", total=wanted) if progress else None
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        under_way: set[Future[Outcome]] = set()
        try:
            while score.decisions < wanted:
                under_way |= {pool.submit(fight, next(coming)) for _ in range(2 * cores - len(under_way))}
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    score.add(future.result())
                if progress is not None and task is not None:
                    progress.update(task, completed=min(score.decisions, wanted))
        finally:
            pool.shutdown(cancel_futures=True)
    return score


def report(score: Score, console: Console, seconds: float) -> None:
    table = Table(title=f"{score.decisions:,} decisions in {score.bouts:,} duels, {seconds:.0f} s, none differs")
    table.add_column("outcome")
    table.add_column("decisions", justify="right")
    for name, number in score.tally.most_common():
        table.add_row(name, f"{number:,}")
    table.add_section()
    for name, number in sorted(score.by_course.items()):
        table.add_row(f"shards: {name}", f"{number:,}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares decisions of the engine with the reference model.")
    parser.add_argument("--decisions", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, help="the first seed; a fresh one if left out")
    parser.add_argument("--bout", type=Bout.read, help="SHARDS:KIND:SEED, fought again")
    options = parser.parse_args()
    console = Console()
    if options.bout is not None:
        outcome = fight(options.bout)
        console.print(outcome.difference or f"{outcome.tally.total():,} decisions, none differs", markup=False)
        raise SystemExit(bool(outcome.difference))
    first = random.SystemRandom().randrange(2**40) if options.seed is None else options.seed
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    begin = time.monotonic()
    try:
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            score = fight_until(options.decisions, first, progress)
    except AssertionError as difference:
        console.print(str(difference), markup=False)
        raise SystemExit(1) from None
    report(score, console, time.monotonic() - begin)
    if len(score.tally) != OUTCOMES:
        raise SystemExit(f"only {len(score.tally)} of {OUTCOMES} outcomes came up")


if __name__ == "__main__":
    main()
