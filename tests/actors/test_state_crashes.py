"""Crashes and lying disks, by the hundred; `state_crashes` takes any number. And a process that is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from actors.state_file import StateFile
from tests.actors.state_crashes import (
    IDENTITY,
    KIND,
    NAME,
    content_after,
    damaged_files,
    go_on,
    read_content,
    torn_commits,
)

CASES = 100
KILLS = 20


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_acknowledged_commit_is_there_wherever_the_machine_stops(seed: int) -> None:
    outcomes = await torn_commits(CASES, seed)
    assert min(outcomes.values()) > 0, "the cases are not of both kinds"


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_damaged_file_is_refused_or_whole(seed: int) -> None:
    outcomes = await damaged_files(CASES, seed)
    assert min(outcomes["refused"], outcomes["whole"]) > 0, "the cases are not of both kinds"


class Nursery:
    """A process that begins committers by forking: each is a process of its own, and none imports anything."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, path: Path, seed: int) -> Nursery:
        pipe = asyncio.subprocess.PIPE
        arguments = (sys.executable, "-m", "tests.actors.test_state_crashes", str(path), str(seed))
        return cls(await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe))

    async def kill_one_after(self, acknowledged: int) -> int:
        """Kills a committer when it has told of so many commits; the last that it told of."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        committer = int(await self._process.stdout.readline())
        told = []
        while (line := await self._process.stdout.readline()) != b"dead\n":
            told.append(int(line))
            if len(told) == acknowledged:
                os.kill(committer, signal.SIGKILL)
        return told[-1]

    async def close(self) -> None:
        await self._process.communicate(b"")  # which ends its input


async def test_a_killed_process_loses_nothing_that_it_told_of(tmp_path: Path) -> None:
    seed = 3
    print(f"seed {seed}")
    dice = random.Random(seed)
    nursery = await Nursery.start(tmp_path / NAME, seed)
    for life in range(KILLS):
        last = await nursery.kill_one_after(dice.randint(1, 100))
        file = await StateFile.open(tmp_path / NAME, KIND, IDENTITY, create=False)
        # One more may have been durable and not told of, and one more have been on its way.
        assert last <= file.sequence <= last + 2
        assert file.epoch == 2 * (life + 1)
        assert await read_content(file) == content_after(seed, file.sequence)
        await file.close()
    await nursery.close()


async def commit_for_ever(path: Path, seed: int) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    while True:
        await go_on(file, seed, 1)
        os.write(1, b"%d\n" % file.sequence)


def fork_committers(path: Path, seed: int) -> None:
    for _ in sys.stdin:
        committer = os.fork()
        if committer == 0:
            os.write(1, b"%d\n" % os.getpid())
            asyncio.run(commit_for_ever(path, seed))
        os.waitpid(committer, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    fork_committers(Path(sys.argv[1]), int(sys.argv[2]))
