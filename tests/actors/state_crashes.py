"""What a crash or a bad disk can leave of a state file, made on purpose: as many cases as one wants, from a seed.

A history is a function of its seed, so what a file must hold after any commit can be computed and compared.

* `torn_commits`: the machine stops while a commit or a checkpoint runs. What was not synced is there or not, sector by
  sector; the file must open with every acknowledged commit, and at most the one that ran besides.
* `damaged_files`: bits are flipped, sectors zeroed or put back to what they once held, files cut. The file must be
  refused, or hold exactly what it held; and go on so after more commits.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from actors import state_database
from actors.state_file import StateFile
from engine.errors import StateFault, WriteFailed

KIND = "shard 0"
IDENTITY = bytes(range(16))
NAME = "state.db"
FILES = (NAME, NAME + "-wal", NAME + ".last")
SECTOR = 512
SMALL_CHECKPOINT_BYTES = 300_000
"""So that a short history has several."""

Files = dict[str, bytes]
Content = tuple[dict[int, tuple[int, bytes]], dict[int, bytes]]
"""Pages: key to sequence and bytes. Rows: sequence to bytes."""


class Commit(NamedTuple):
    row: bytes
    pages: list[tuple[int, bytes]]
    keep_from: int


def commit_of(seed: int, sequence: int) -> Commit:
    """Small rows, some that fill many pages of the database, and now and then a row that is dropped."""
    dice = random.Random(f"{seed}-{sequence}")
    row = dice.randbytes(dice.choice((0, 10, 300, 5_000, 40_000)))
    keys = dice.sample(range(12), dice.randint(0, 2))
    pages = [(key, dice.randbytes(dice.choice((20, 2_000, 30_000)))) for key in keys]
    return Commit(row, pages, max(1, sequence - 9 + 3 * (sequence % 3)))


def content_after(seed: int, last: int) -> Content:
    """What a file holds after its commits 1 to `last`."""
    pages: dict[int, tuple[int, bytes]] = {}
    rows: dict[int, bytes] = {}
    first = 1
    for sequence in range(1, last + 1):
        commit = commit_of(seed, sequence)
        rows[sequence] = commit.row
        pages |= {key: (sequence, page) for key, page in commit.pages}
        first = max(first, commit.keep_from)
    return pages, {sequence: row for sequence, row in rows.items() if sequence >= first}


async def read_content(file: StateFile) -> Content:
    pages = {key: (sequence, page) async for key, sequence, page in file.pages()}
    return pages, {sequence: row async for sequence, row in file.rows()}


async def go_on(file: StateFile, seed: int, count: int) -> None:
    for _ in range(count):
        sequence = file.sequence + 1
        await file.commit(sequence, *commit_of(seed, sequence))


async def make_file(path: Path, seed: int, commits: int) -> Path:
    """A file with some commits, cleanly closed."""
    file = await StateFile.open(path, KIND, IDENTITY, content={"shards": "4"})
    await read_content(file)
    await go_on(file, seed, commits)
    await file.checkpoint()
    await file.close()
    return path


@contextmanager
def quick_directory() -> Iterator[Path]:
    """In memory where the system has that: a stop of the machine is made by us, and no sync need be waited for."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield Path(directory)


# ---- a life, recorded -------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """All files after a commit or a checkpoint returned."""

    files: Files
    sequence: int
    is_checkpoint: bool


def files_in(directory: Path) -> Files:
    return {name: (directory / name).read_bytes() for name in FILES if (directory / name).exists()}


def put_files(directory: Path, files: Files) -> Path:
    """Makes a directory hold these files and no others; the state file's path."""
    directory.mkdir(exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory / NAME


async def record_life(directory: Path, seed: int, commits: int) -> list[Moment]:
    """Three lives of a file in a row, with a clean stop after the first; the files at each moment between calls."""
    moments: list[Moment] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_database, "CHECKPOINT_BYTES", SMALL_CHECKPOINT_BYTES)
        for life in range(3):
            file = await StateFile.open(directory / NAME, KIND, IDENTITY)
            assert await read_content(file) == content_after(seed, file.sequence)
            moments.append(Moment(files_in(directory), file.sequence, is_checkpoint=False))
            for _ in range(commits // 3):
                await go_on(file, seed, 1)
                moments.append(Moment(files_in(directory), file.sequence, is_checkpoint=False))
                if file._checkpoint is not None:
                    await file._checkpoint
                    moments.append(Moment(files_in(directory), file.sequence, is_checkpoint=True))
            if life == 0:
                await file.checkpoint()
                moments.append(Moment(files_in(directory), file.sequence, is_checkpoint=True))
            await file.close()
            if life:  # as a kill leaves it: with its log
                put_files(directory, moments[-1].files)
    return moments


# ---- the machine stops ------------------------------------------------------------------------------------


def torn(before: bytes, after: bytes, dice: random.Random) -> bytes:
    """A file that was being changed: each sector old or new, the end anywhere, and what lies between not written."""
    size = dice.choice((len(before), len(after), dice.randint(*sorted((len(before), len(after))))))
    share_new = dice.random()
    sectors = []
    for start in range(0, size, SECTOR):
        source = after if dice.random() < share_new else before
        sectors.append(source[start : start + SECTOR].ljust(SECTOR, b"\0"))
    return b"".join(sectors)[:size]


def torn_log(before: bytes, after: bytes, dice: random.Random) -> bytes:
    """SQLite syncs the log's header (32 bytes) before what follows it, where it begins the log anew."""
    if before[:32] == after[:32] or not before:
        return torn(before, after, dice)
    if dice.random() < 0.5:
        return torn(before[:32], after[:32], dice) + before[32:]
    return after[:32] + torn(before, after, dice)[32:]


def crash_between(before: Moment, after: Moment, dice: random.Random) -> Files:
    """What is on the disk when the machine stops between two moments, a life's own first moment excepted."""
    files = dict(before.files)
    if after.is_checkpoint:
        is_cut = dice.random() < 0.3  # the log is cut once the database is synced
        files[NAME] = after.files[NAME] if is_cut else torn(before.files[NAME], after.files[NAME], dice)
        files[FILES[1]] = after.files[FILES[1]] if is_cut else before.files[FILES[1]]
    else:
        assert before.files[NAME] == after.files[NAME], "a commit changes the log only"
        files[FILES[1]] = torn_log(before.files.get(FILES[1], b""), after.files[FILES[1]], dice)
    return files


async def torn_commits(count: int, seed: int, commits: int = 60) -> dict[str, int]:
    """See the module. How often the commit that ran was there, and how often not."""
    with quick_directory() as directory:
        return await _torn_commits(directory, count, seed, commits)


async def _torn_commits(directory: Path, count: int, seed: int, commits: int) -> dict[str, int]:
    moments = await recorded(directory, seed, commits)
    dice = random.Random(seed)
    outcomes = {"there": 0, "not there": 0}
    for case in range(count):
        index = dice.randrange(1, len(moments))
        before, after = moments[index - 1], moments[index]
        if before.sequence == after.sequence and not after.is_checkpoint:
            continue  # the end of a life: what happens there happens in `StateFile.open`
        files = crash_between(before, after, dice)
        if dice.random() < 0.5:  # after a power cut the witness may be behind, or not there
            older = moments[dice.randrange(index)].files.get(FILES[2])
            files = {name: content for name, content in files.items() if name != FILES[2]}
            if older is not None and dice.random() < 0.9:
                files[FILES[2]] = older
        try:
            file = await StateFile.open(put_files(directory / "case", files), KIND, IDENTITY, create=False)
        except StateFault as fault:
            raise AssertionError(f"seed {seed}, case {case}: {fault}") from fault
        sequence = file.sequence
        assert sequence in {before.sequence, after.sequence}, f"seed {seed}, case {case}: {sequence}"
        assert await read_content(file) == content_after(seed, sequence), f"seed {seed}, case {case}"
        await go_on(file, seed, 1)
        await file.close()
        outcomes["there" if sequence == after.sequence else "not there"] += 1
    return outcomes


# ---- the disk lies ----------------------------------------------------------------------------------------


def flip(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 100))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def damage(content: bytes, older: bytes, dice: random.Random) -> bytes:
    """Bits flipped, a stretch of sectors zeroed or as it once was, or the end cut off."""
    start = dice.randrange(0, len(content), SECTOR)
    end = start + SECTOR * dice.choice((1, 1, 8, 16))
    match dice.randrange(6):
        case 0:
            return content[:start] + bytes(len(content[start:end])) + content[end:]
        case 1:
            return content[:start] + older[start:end].ljust(len(content[start:end]), b"\0") + content[end:]
        case 2:
            return content[: dice.randrange(len(content))]
        case _:
            return flip(content, dice)


def damaged_cases(moments: list[Moment], count: int, dice: random.Random) -> Iterator[tuple[Moment, Files]]:
    for _ in range(count):
        index = dice.randrange(len(moments))
        moment, older = moments[index], moments[dice.randrange(index + 1)]
        files = dict(moment.files)
        there = [name for name in FILES if files.get(name)]
        for name in dice.sample(there, 1 if dice.random() < 0.8 else dice.randint(1, len(there))):
            files[name] = damage(files[name], older.files.get(name, b""), dice)
        # An empty witness is no word, and an earlier one says too little: neither tells that the log lost some.
        if files[FILES[2]] in {b"", *(earlier.files[FILES[2]] for earlier in moments[:index])}:
            files[FILES[2]] = moment.files[FILES[2]]
        yield moment, files


async def damaged_files(count: int, seed: int, commits: int = 60) -> dict[str, int]:
    """See the module. How often the file was refused, and how often whole."""
    with quick_directory() as directory:
        return await _damaged_files(directory, count, seed, commits)


async def _damaged_files(directory: Path, count: int, seed: int, commits: int) -> dict[str, int]:
    moments = await recorded(directory, seed, commits)
    outcomes = {"refused": 0, "whole": 0, "refused later": 0}
    for case, (moment, files) in enumerate(damaged_cases(moments, count, random.Random(seed))):
        path = put_files(directory / "case", files)
        try:
            file = await StateFile.open(path, KIND, IDENTITY, create=False)
        except StateFault:
            outcomes["refused"] += 1
            left = files_in(path.parent)
            assert {name: left.get(name, b"") for name in files} == files, f"seed {seed}, case {case}: it was changed"
            continue
        assert file.sequence == moment.sequence, f"seed {seed}, case {case}: {file.sequence}, not {moment.sequence}"
        assert await read_content(file) == content_after(seed, moment.sequence), f"seed {seed}, case {case}"
        outcomes["whole" if await stays_whole(file, seed) else "refused later"] += 1
    return outcomes


async def stays_whole(file: StateFile, seed: int) -> bool:
    """Whether what was damaged harms no later commit either; False where that is noticed."""
    try:
        try:
            await go_on(file, seed, 3)
            await file.checkpoint()
        finally:
            await file.close()
        again = await StateFile.open(file.path, KIND, IDENTITY, create=False)
    except (StateFault, WriteFailed):
        return False
    assert await read_content(again) == content_after(seed, again.sequence)
    await again.close()
    return True


async def recorded(directory: Path, seed: int, commits: int) -> list[Moment]:
    life = directory / "life"
    life.mkdir()
    print(f"seed {seed}")
    return await record_life(life, seed, commits)
