"""A life of a shard: what it knows is read from its file, made known to the ledger, and every change is written down.

The rule (design, section 4): nothing is answered before it is durable. A call works with the turn, and waits without
it for the commit that has its changes; what other calls change meanwhile goes with the next commit. What is read is
waited for, too: it may be of a commit that is under way.

A write that fails ends the process: memory is ahead of the disk. The next life goes on from the file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from actors.group_commit import Group, GroupCommit, GroupCommitThread, end_process
from actors.ledger_link import LedgerLink
from actors.state_file import StateFile
from actors.turn import Turn
from engine.errors import StateFault
from engine.orchestrator import Orchestrator
from kernels import ZONE_NAMES

__all__ = ["MESSAGES_INCARNATION", "Life", "Writer", "read_into"]

ZONES_KEY = "time_zones"

MESSAGES_INCARNATION = 1
"""Numbers of messages go on over all lives."""


def content_of_new_file() -> dict[str, str]:
    """What a file is only understood with: zones are written down as places in the list of their names."""
    return {ZONES_KEY: hashlib.sha256("\n".join(ZONE_NAMES).encode()).hexdigest()}


class Writer:
    """A thread for the file of one shard, and what was read from it."""

    def __init__(self, name: str) -> None:
        self._thread = GroupCommitThread(name)
        self._file: StateFile | None = None
        self._commits: GroupCommit | None = None

    def read(self, path: Path, kind: str, identity: bytes, create: bool, core: Orchestrator) -> None:
        """Opens the file and reads all of it into an empty core. Raises `StateFault`."""
        self._thread.run(self._read(path, kind, identity, create, core))

    def begin(self, turn: Turn, core: Orchestrator) -> GroupCommit:
        """From now on what changes in the core is written down."""
        assert self._file is not None, "read comes first"
        self._commits = self._thread.begin(self._file, _Changes(turn, core), end_process)
        return self._commits

    def give_up(self) -> None:
        """Lets go of a file that could not be read, or whose life did not begin."""
        self._thread.run(self._close())

    def end(self) -> None:
        """Writes the rest down, brings the log into the file, and lets go of it for good."""
        self._thread.run(self._close(checkpoint=True))
        self._thread.close()

    async def _read(self, path: Path, kind: str, identity: bytes, create: bool, core: Orchestrator) -> None:
        self._file = await StateFile.open(path, kind, identity, content=content_of_new_file(), create=create)
        await read_into(core, self._file)

    async def _close(self, checkpoint: bool = False) -> None:
        file, commits, self._file, self._commits = self._file, self._commits, None, None
        if commits is not None:
            await commits.close()
        if file is not None:
            if checkpoint:
                await file.checkpoint()
            await file.close()


async def read_into(core: Orchestrator, file: StateFile) -> None:
    """Reads a file into an empty core. Raises `StateFault`."""
    if file.content.get(ZONES_KEY) != content_of_new_file()[ZONES_KEY]:
        what = "it was written with another list of time zones"
        raise StateFault(str(file.path), None, what, "Start it with the pytz that wrote it")
    row = ""
    try:
        async for number, sequence, page in file.pages():
            row = f"page {number}"
            core.load_page(number, sequence, page)
        async for sequence, effects in file.rows():
            row = f"journal {sequence}"
            core.load_group(sequence, effects)
        row = "pages and journal together"
        core.end_load()
    except ValueError as error:
        what = f"it cannot be read: {error}"
        raise StateFault(str(file.path), row, what, "Start the version that wrote it, or put a backup back") from error


class _Changes:
    """What the commits write; see `actors.group_commit.Source`."""

    def __init__(self, turn: Turn, core: Orchestrator) -> None:
        self._turn = turn
        self._core = core

    def take(self, sequence: int) -> Group | None:
        with self._turn:
            group = self._core.take_group(sequence)
        return None if group is None else Group(*group)


class Life:
    """What a shard has once the ledger has registered it."""

    def __init__(self, incarnation: int, core: Orchestrator, link: LedgerLink, commits: GroupCommit) -> None:
        self.incarnation = incarnation
        self.core = core
        self.link = link
        self.commits = commits
        self.frozen: set[str] = set()
