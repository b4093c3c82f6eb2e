"""Who may write a state file, and what happens when a write fails."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.state_file import StateFile
from engine.errors import Fenced, StateFault, WriteFailed
from tests.actors.state_crashes import (
    IDENTITY,
    KIND,
    NAME,
    content_after,
    files_in,
    go_on,
    make_file,
    put_files,
    read_content,
)

SEED = 7
COMMITS = 30


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return await make_file(tmp_path / NAME, SEED, COMMITS)


# ---- one writer -------------------------------------------------------------------------------------------

HOLD = """
import asyncio, sys, time
from pathlib import Path
from actors.state_file import StateFile

async def hold():
    file = await StateFile.open(Path(sys.argv[1]), "shard 0", bytes(range(16)))
    print(file.epoch, flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_a_file_that_another_process_has_is_refused_until_that_one_is_gone(path: Path) -> None:
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(path), stdout=asyncio.subprocess.PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"2\n"
    for how in (StateFile.open, StateFile.inspect):
        with pytest.raises(StateFault, match="another process uses it"):
            await how(path, KIND, IDENTITY, lock_timeout_s=0.05)
    opening = asyncio.create_task(StateFile.open(path, KIND, IDENTITY, lock_timeout_s=30))
    other.send_signal(signal.SIGKILL)
    await other.wait()
    file = await opening
    assert file.epoch == 3
    await file.close()


@pytest.mark.parametrize("how", ["witness", "place", "head"])
async def test_a_life_that_was_superseded_commits_nothing(path: Path, how: str) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    if how == "witness":
        file._database._witness.write(file.epoch + 1, COMMITS)
    elif how == "place":
        path.rename(path.with_name("old.db"))
        path.write_bytes(b"restored")
    else:
        await file._connection.run(lambda: file._connection.raw.execute("UPDATE head SET epoch = epoch + 1"))
    try:
        with pytest.raises(Fenced):
            await go_on(file, SEED, 1)
    finally:  # its thread would outlive a failure
        await file.close()
    assert file.sequence == COMMITS


# ---- commits that fail ------------------------------------------------------------------------------------


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """A disk that is full, for this process."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_commit_that_cannot_be_written_fails_and_is_not_there(path: Path) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    with no_file_longer_than(40_000), pytest.raises(WriteFailed, match=rf"commit {COMMITS + 1} failed"):
        await file.commit(COMMITS + 1, bytes(100_000), [], 1)
    files = files_in(path.parent)
    await file.close()
    file = await StateFile.open(put_files(path.parent, files), KIND, IDENTITY)
    assert await read_content(file) == content_after(SEED, COMMITS)
    await file.close()


async def test_a_full_database_fails_the_commit(path: Path) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    await file._connection.run(lambda: file._connection.raw.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(WriteFailed, match="the disk is full"):
        await file.commit(COMMITS + 1, bytes(3_000_000), [], 1)
    await file.close()


async def test_a_word_of_the_witness_that_was_cut_short_fails_the_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system tells of it at the next write only; until then commits would be acknowledged that nobody can read."""
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, word, place: write(descriptor, word[:20], place))
    try:
        with pytest.raises(WriteFailed, match="the disk is full"):
            await go_on(file, SEED, 1)
    finally:  # its thread would outlive a failure
        await file.close()


async def test_a_life_that_cannot_begin_says_why(path: Path) -> None:
    with no_file_longer_than(0), pytest.raises(StateFault, match="the disk"):
        await StateFile.open(path, KIND, IDENTITY)
    file = await StateFile.open(path, KIND, IDENTITY)
    assert await read_content(file) == content_after(SEED, COMMITS)
    await file.close()


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateFault, match="No such file or directory"):
        await StateFile.open(tmp_path / "none" / NAME, KIND, IDENTITY)


@pytest.mark.parametrize(("sequence", "keep_from"), [(COMMITS + 2, 1), (COMMITS, 1), (COMMITS + 1, COMMITS + 3)])
async def test_a_commit_out_of_order_is_a_bug(path: Path, sequence: int, keep_from: int) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    with pytest.raises(AssertionError):
        await file.commit(sequence, b"", [], keep_from)
    await file.close()


async def test_what_was_not_read_is_not_committed_to(path: Path) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    with pytest.raises(AssertionError, match="must be read"):
        await go_on(file, SEED, 1)
    await file.close()
