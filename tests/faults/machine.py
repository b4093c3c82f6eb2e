"""Shards and a ledger that live in this process and end at the steps of a lease: see `tests.faults.processes`.

It is a cluster for clients and for `told.check_told`. Strikes are armed by step and victim: whoever comes to the step
first has them end, before anything else happens there.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import shutil
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import ray

import actors.life
import actors.shard
from actors.client import AsyncOutreach
from actors.state_file import StateFile
from engine.config import default_settings
from engine.settings import Settings
from tests.faults.processes import Handle, LedgerProcess, Process, ShardProcess
from tests.settings import deciding

SHARDS = 2
SHARD_TIMEOUT_MS = 2000
RESTART_PAUSE_S = 0.005


class Strike(NamedTuple):
    step: str
    who: str
    """`ledger`, `shard` (the one that the step is about), or `both`."""


class Machine:
    """Made by `running_machine`."""

    def __init__(self, place: Path, dice: random.Random) -> None:
        limits = msgspec.structs.replace(default_settings().limits, shard_timeout_ms=SHARD_TIMEOUT_MS)
        self.settings = deciding(shards=SHARDS, clock="manual", limits=limits)
        self.strikes: list[Strike] = []
        """Those to come, in order."""
        self.reached: Counter[str] = Counter()
        self.recalled: int | None = None
        """Of the shards, the one that gave back last, until the ledger has written that down."""
        self.harm: list[BaseException] = []
        self.ledger_process: LedgerProcess
        self.shard_processes: list[ShardProcess] = []
        self.by_directory: dict[Path, Process] = {}
        self._place = place
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._lives = itertools.count()
        self._mutex = threading.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self.ledger = Handle(lambda: self.ledger_process)
        self.shards = [Handle(self.finder(index)) for index in range(SHARDS)]

    def client(self) -> AsyncOutreach:
        return AsyncOutreach(self.ledger, self.shards, self.settings)

    def finder(self, index: int) -> Callable[[], Process]:
        return lambda: self.shard_processes[index]

    def fail(self, error: BaseException) -> None:
        """A commit failed, which none is to do here."""
        self.harm.append(error)

    # ---- lives ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.ledger_process = self._new_ledger(self._new_directory())
        await self.ledger_process.begin(self.settings, create=True)
        for index in range(SHARDS):
            process = self._new_shard(index, self._new_directory())
            self.shard_processes.append(process)
            await asyncio.to_thread(process.begin, self._settings_of(process))

    async def stop(self) -> None:
        """Ends everything, and waits for all threads."""
        self.strikes = []
        while self._ending:
            await asyncio.gather(*self._ending)
        for process in (*self.shard_processes, self.ledger_process):
            process.doom()
            # Not on the loop: a commit of the ledger that is under way there comes to its end first.
            await asyncio.to_thread(process.end, self._place / f"last-{process.name}")
        for shard in self.shard_processes:
            await asyncio.to_thread(shard.wind_up)
        await self.ledger_process.wind_up()

    def kill(self, process: Process) -> None:
        """On any thread. The next life begins by itself, as with Ray."""
        if process.doom():
            directory = self._place / f"life-{next(self._lives)}"
            process.end(directory)
            self._loop.call_soon_threadsafe(self._begin_again, process, directory)

    def _begin_again(self, process: Process, directory: Path) -> None:
        again = self._begin_ledger_again if isinstance(process, LedgerProcess) else self._begin_shard_again
        task = self._loop.create_task(again(process, directory))  # type: ignore[arg-type]
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _begin_ledger_again(self, process: LedgerProcess, directory: Path) -> None:
        self.recalled = None
        self.ledger_process = self._new_ledger(directory)
        opening = self.ledger_process.begin(self.settings, create=False)
        await asyncio.gather(opening, process.wind_up())
        shutil.rmtree(process.directory)

    async def _begin_shard_again(self, process: ShardProcess, directory: Path) -> None:
        after = self.shard_processes[process.index] = self._new_shard(process.index, directory)
        beginning = asyncio.to_thread(after.begin, self._settings_of(after))
        await asyncio.gather(beginning, asyncio.to_thread(process.wind_up))
        shutil.rmtree(process.directory)

    def _new_directory(self) -> Path:
        directory = self._place / f"life-{next(self._lives)}"
        directory.mkdir()
        return directory

    def _new_ledger(self, directory: Path) -> LedgerProcess:
        process = LedgerProcess(self, directory)
        self.by_directory[directory] = process
        return process

    def _new_shard(self, index: int, directory: Path) -> ShardProcess:
        process = ShardProcess(self, index, directory)
        self.by_directory[directory] = process
        return process

    def _settings_of(self, process: Process) -> Settings:
        return msgspec.structs.replace(self.settings, state_dir=str(process.directory))

    # ---- steps ------------------------------------------------------------------------------------------

    def reach(self, step: str, shard: int) -> None:
        """On the thread that comes to the step, which is about a shard."""
        with self._mutex:
            self.reached[step] += 1
            if not self.strikes or self.strikes[0].step != step:
                return
            who = self.strikes.pop(0).who
            victims: list[Process] = []
            if who != "ledger":
                victims.append(self.shard_processes[shard])
            if who != "shard":
                victims.append(self.ledger_process)
            self._dice.shuffle(victims)
        for victim in victims:
            self.kill(victim)

    async def commit(self, plain: Callable[..., Any], file: StateFile, *group: Any) -> None:
        """A commit of whichever file, with the step before it and the one after."""
        process = self.by_directory[file.path.parent]
        about = self._of_shard(process) if isinstance(process, ShardProcess) else self._of_ledger(process)
        await self._step(process, about, "noted")
        with process.writing:
            await plain(file, *group)
        await self._step(process, about, "written")

    async def _step(self, process: Process, about: tuple[str, int] | None, when: str) -> None:
        if about is not None and process.alive:
            self.reach(f"{about[0]} {when}", about[1])
        if not process.alive:
            raise asyncio.CancelledError

    def _of_shard(self, process: ShardProcess) -> tuple[str, int] | None:
        """What it writes down: what it spent, or what came back."""
        asks = self.ledger_process.doing("acquire")
        if process.doing("decide_claimed") and not (asks and asks.caller == process.index):
            return "spend", process.index
        return ("cancel", process.index) if process.doing("cancel") else None

    def _of_ledger(self, process: Process) -> tuple[str, int] | None:
        """What it writes down: a grant, what a shard spent by its own word or by its file, what came back."""
        call = process.doing("register", "acquire", "reopen")
        if call is None or call.caller is None:
            return None
        recalled, self.recalled = self.recalled, None
        return ("settle", recalled) if call.method == "acquire" and recalled is not None else (call.method, call.caller)


@asynccontextmanager
async def running_machine(place: Path, dice: random.Random) -> AsyncIterator[Machine]:
    """One whose commits stop at steps. Blocks nobody else's: not for use beside other state files."""
    plain, plain_open, plain_close = StateFile.commit, StateFile.open, StateFile.close
    with pytest.MonkeyPatch.context() as patch:
        machine = Machine(place, dice)

        async def commit(file: StateFile, *group: Any) -> None:
            await machine.commit(plain, file, *group)

        async def open_file(path: Path, *arguments: Any, **named: Any) -> StateFile:
            with machine.by_directory[path.parent].writing:
                return await plain_open(path, *arguments, **named)

        async def close_file(file: StateFile) -> None:
            with machine.by_directory[file.path.parent].writing:  # SQLite removes its log then
                await plain_close(file)

        patch.setattr(StateFile, "commit", commit)
        patch.setattr(StateFile, "close", close_file)
        patch.setattr(StateFile, "open", open_file)
        patch.setattr(ray, "get_actor", lambda *_: None)
        patch.setattr(actors.life, "end_process", machine.fail)
        patch.setattr(actors.shard, "_end_superseded_life", lambda: machine.fail(AssertionError("superseded")))
        patch.setattr(actors.shard, "RESTART_PAUSE_S", RESTART_PAUSE_S)
        logger = logging.getLogger("madan_sara")
        logger.setLevel(logging.CRITICAL + 1)  # there are thousands of deaths
        try:
            await machine.start()
            yield machine
        finally:
            await machine.stop()
            logger.setLevel(logging.NOTSET)
