"""Faults by the thousand, each from a seed: what was acknowledged must be so afterwards.

    python -m tests.faults [--only NAME] [--count N] [--seed S]

Without `--count` each fault is made as often as issue 4 asks for. The first that does any harm ends the run, with the
command that makes it again. A round on the cluster is repeated with its plan; how its processes interleave is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from actors.cluster import Cluster, running
from engine.config import default_settings
from tests.actors.state_crashes import damaged_files, torn_commits
from tests.faults.cuts import cut_shards, damaged_shards
from tests.faults.delivery_kills import delivery_kills
from tests.faults.directories import damaged_directories
from tests.faults.disk_errors import KINDS, DiskRound
from tests.faults.failing_disk import FailingDisk
from tests.faults.kills import Plan, Round
from tests.faults.leases import PAIRS, TIMES, killed_leases
from tests.faults.lost_calls import LOGGED, lost_calls
from tests.faults.server_kills import KINDS as SERVER_KINDS
from tests.faults.server_kills import server_kills
from tests.settings import deciding

SHARDS = 4
SHARD_TIMEOUT_MS = 5000

KILLS = Plan(kinds=("shard", "ledger", "two shards", "shard and ledger", "all"))
FROZEN = Plan(kinds=("shard", "ledger"), strikes=2, frozen_s=(1.0, 30.0))
DISK = Plan(kinds=KINDS)
LOST = Plan(strikes=0, lost_share=0.1)


class Stage:
    """The cluster, started when the first fault needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._cluster: Cluster | None = None
        self._disk: FailingDisk | None = None

    def cluster(self) -> Cluster:
        if self._cluster is None:
            self._disk = self._stack.enter_context(FailingDisk.preloaded())
            limits = msgspec.structs.replace(default_settings().limits, shard_timeout_ms=SHARD_TIMEOUT_MS)
            settings = deciding(shards=SHARDS, clock="manual", limits=limits)
            self._cluster = self._stack.enter_context(running(settings))
        return self._cluster

    def disk(self) -> FailingDisk:
        """The cluster's."""
        self.cluster()
        assert self._disk is not None
        return self._disk


Work = Callable[[Stage, int, int], Awaitable[Counter[str]]]
"""Makes at most so many faults from a seed; what came of them. Raises `AssertionError` where one did harm."""


class Fault(NamedTuple):
    name: str
    about: str
    full: int
    """How many a full run makes."""
    at_once: int
    """How many of one seed."""
    counts: tuple[str, ...]
    """Which outcomes are faults; all where none is named."""
    work: Work


def in_files(work: Callable[[int, int], Awaitable[Counter[str] | dict[str, int]]]) -> Work:
    """Of what needs no cluster, or has its own."""

    async def play(stage: Stage, count: int, seed: int) -> Counter[str]:
        return Counter(await work(count, seed))

    return play


def in_rounds(plan: Plan) -> Work:
    async def play(stage: Stage, count: int, seed: int) -> Counter[str]:
        strikes = min(plan.strikes, count)
        outcome = await Round(stage.cluster(), f"r-{seed}", seed, replace(plan, strikes=strikes)).play()
        return outcome.struck + outcome.counted

    return play


async def in_disk_rounds(stage: Stage, count: int, seed: int) -> Counter[str]:
    plan = replace(DISK, strikes=min(DISK.strikes, count))
    outcome = await DiskRound(stage.cluster(), stage.disk(), f"e-{seed}", seed, plan).play()
    return outcome.struck + outcome.counted


async def in_directories(stage: Stage, count: int, seed: int) -> Counter[str]:
    await Round(stage.cluster(), f"d-{seed}", seed, replace(KILLS, strikes=1)).play()
    return await damaged_directories(stage.cluster(), count, seed)


FAULTS = (
    Fault("torn", "crash at any byte of a file", 90_000, 500, (), in_files(torn_commits)),
    Fault("cut", "crash at any byte of a whole shard", 10_000, 500, (), in_files(cut_shards)),
    Fault("kills", "kill -9 under clients, by strike", 1_000, 4, KILLS.kinds, in_rounds(KILLS)),
    Fault(
        "leases", "deaths at two steps of a lease", TIMES * len(PAIRS), len(PAIRS), ("pairs",), in_files(killed_leases)
    ),
    Fault("servers", "kill -9 of a server, by what of it", 100, 4, SERVER_KINDS, in_files(server_kills)),
    Fault("delivery", "kill -9 while messages leave", 20, 20, ("dispatcher", "shard"), in_files(delivery_kills)),
    Fault("flipped", "a damaged file", 5_000, 500, (), in_files(damaged_files)),
    Fault("damaged", "a damaged file of a whole shard", 4_000, 500, (), in_files(damaged_shards)),
    Fault("directories", "a damaged file of a directory", 1_000, 250, (), in_directories),
    Fault("lost", "lost and late answers", 2_000, 1, ("lost answer",), in_rounds(LOST)),
    Fault("disk", "writes and syncs that fail, a full disk", 200, 4, DISK.kinds, in_disk_rounds),
    Fault("calls", "calls that Ray loses and delays", 2_000, 500, tuple(LOGGED.values()), in_files(lost_calls)),
    Fault("frozen", "SIGSTOP for seconds", 50, 2, FROZEN.kinds, in_rounds(FROZEN)),
)


def made(fault: Fault, outcomes: Counter[str]) -> int:
    return sum(count for name, count in outcomes.items() if not fault.counts or name in fault.counts)


def make(fault: Fault, stage: Stage, count: int, first: int, progress: Progress) -> Counter[str]:
    """As many faults as are wanted, seed after seed. Raises `AssertionError` with how the one that did harm is made."""
    outcomes: Counter[str] = Counter()
    task, seed = progress.add_task(f"{fault.name}, seeds from {first}", total=count), first
    with asyncio.Runner() as runner:
        while (missing := count - made(fault, outcomes)) > 0:
            size = min(fault.at_once, missing)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    outcomes += runner.run(fault.work(stage, size, seed))
            except (AssertionError, TimeoutError) as harm:
                again = f"{sys.executable} -m tests.faults --only {fault.name} --count {size} --seed {seed}"
                raise AssertionError(f"{fault.name}: {harm or 'it did not end'}\n\nmade again by: {again}") from harm
            progress.update(task, completed=min(count, made(fault, outcomes)))
            seed += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes faults, and compares what is left with what was acknowledged.")
    parser.add_argument("--only", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--count", type=int, help="how often each, instead of as often as the issue asks for")
    parser.add_argument("--seed", type=int, help="the first seed; a fresh one if left out")
    options = parser.parse_args()
    first = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    console, table = Console(), Table("fault", "made", "came of it", "harm", "seconds")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with ExitStack() as stack, Progress(*columns, console=console) as progress:
            stage = Stage(stack)
            for fault in FAULTS:
                if options.only in (None, fault.name):
                    begin = time.monotonic()
                    outcomes = make(fault, stage, options.count or fault.full, first, progress)
                    came = ", ".join(f"{count:,} {name}" for name, count in outcomes.most_common())
                    seconds = f"{time.monotonic() - begin:.0f}"
                    table.add_row(f"{fault.name}: {fault.about}", f"{made(fault, outcomes):,}", came, "0", seconds)
    except AssertionError as harm:
        console.print(str(harm), markup=False)
        raise SystemExit(1) from None
    console.print(table)


if __name__ == "__main__":
    main()
