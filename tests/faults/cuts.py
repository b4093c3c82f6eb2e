"""A whole shard whose machine stops at any byte of a commit, or whose disk lies, against what it knew at each commit.

A duel plays on one shard in process, which is committed to a real state file after every command. What a crash can
leave of that file is made as in `tests.actors.state_crashes`; the shard that is read from it must have the state, by
its hash, of the last commit that was acknowledged, or of the one that ran.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from actors import state_database
from actors.life import content_of_new_file, read_into
from actors.state_file import StateFile
from engine.config import load_settings
from engine.errors import StateFault
from engine.orchestrator import Orchestrator
from tests.actors.state_crashes import (
    IDENTITY,
    KIND,
    NAME,
    SMALL_CHECKPOINT_BYTES,
    Files,
    Moment,
    crash_between,
    damaged_cases,
    files_in,
    put_files,
    quick_directory,
)
from tests.audited_duel import AuditedDuel
from tests.disk import INCARNATION, SECRET
from tests.engine_in_process import EngineInProcess
from tests.strategies import Dice

COMMANDS = 80
PEOPLE = 40


@dataclass
class Story:
    """What a file was at each moment, and the state's hash after each commit."""

    moments: list[Moment]
    hashes: dict[int, str]


class CommittedDuel(AuditedDuel):
    """A duel on one shard, which is in a state file after each command."""

    file: StateFile
    loop: asyncio.AbstractEventLoop
    directory: Path
    story: Story

    def write_down(self) -> None:
        sequence = self.file.sequence + 1
        group = self.engine.shards[0].take_group(sequence)
        if group is not None:
            self.loop.run_until_complete(self.commit(sequence, *group))

    async def commit(self, sequence: int, row: bytes, pages: list[tuple[int, bytes]], keep_from: int) -> None:
        """The checkpoint that may follow has not begun when the commit's moment is taken."""
        await self.file.commit(sequence, row, pages, keep_from)
        self.story.hashes[sequence] = self.engine.shards[0].state_hash()
        self.story.moments.append(Moment(files_in(self.directory), sequence, is_checkpoint=False))
        if self.file._checkpoint is not None:
            await self.file._checkpoint
            self.story.moments.append(Moment(files_in(self.directory), sequence, is_checkpoint=True))


def record_story(directory: Path, seed: int, commands: int = COMMANDS) -> Story:
    """Plays a duel from an empty file on. Blocks."""
    dice, settings = Dice(seed), load_settings(environment={})
    system = EngineInProcess(1, settings)
    story = Story([], {0: empty_core().state_hash()})
    loop = asyncio.new_event_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_database, "CHECKPOINT_BYTES", SMALL_CHECKPOINT_BYTES)
        opening = StateFile.open(directory / NAME, KIND, IDENTITY, content=content_of_new_file())
        file = loop.run_until_complete(opening)
        try:
            loop.run_until_complete(read_into(empty_core(), file))
            story.moments.append(Moment(files_in(directory), 0, is_checkpoint=False))
            duel = CommittedDuel(system, msgspec.to_builtins(settings), dice, people=PEOPLE, campaigns=4)
            duel.file, duel.loop, duel.directory, duel.story = file, loop, directory, story
            for _ in range(commands):
                duel.step(size_max=PEOPLE)
            duel.read_all()
        finally:
            loop.run_until_complete(file.close())
            loop.close()
    return story


def empty_core() -> Orchestrator:
    settings = load_settings(environment={})
    return Orchestrator(INCARNATION, settings, EngineInProcess().engine.shards[0].budget_manager._ledger, SECRET)


async def hash_of(file: StateFile) -> str:
    core = empty_core()
    await read_into(core, file)
    return core.state_hash()


async def cut_shards(count: int, seed: int) -> Counter[str]:
    """See the module: the machine stops. How often the commit that ran was there."""
    with quick_directory() as directory:
        story, dice = await told_story(directory, seed), random.Random(seed)
        outcomes: Counter[str] = Counter()
        for case in range(count):
            index = dice.randrange(1, len(story.moments))
            before, after = story.moments[index - 1], story.moments[index]
            about = f"seed {seed}, case {case}"
            sequence, found = await read_case(directory / "case", crash_between(before, after, dice), about)
            assert sequence in {before.sequence, after.sequence}, f"{about}: {sequence}, not {before.sequence}"
            assert found == story.hashes[sequence], f"{about}: not the state after commit {sequence}"
            outcomes["commit there" if sequence == after.sequence else "commit not there"] += 1
        return outcomes


async def damaged_shards(count: int, seed: int) -> Counter[str]:
    """See the module: the disk lies. How often the file was refused."""
    with quick_directory() as directory:
        story, dice = await told_story(directory, seed), random.Random(seed)
        outcomes: Counter[str] = Counter()
        for case, (moment, files) in enumerate(damaged_cases(story.moments, count, dice)):
            about = f"seed {seed}, case {case}"
            path = put_files(directory / "case", files)
            try:
                file = await StateFile.open(path, KIND, IDENTITY, create=False)
            except StateFault:
                outcomes["refused"] += 1
                continue
            try:
                assert file.sequence == moment.sequence, f"{about}: {file.sequence}, not {moment.sequence}"
                assert await hash_of(file) == story.hashes[moment.sequence], f"{about}: another state"
            finally:
                await file.close()
            outcomes["harmless"] += 1
        return outcomes


async def told_story(directory: Path, seed: int) -> Story:
    print(f"seed {seed}")
    life = directory / "life"
    life.mkdir()
    return await asyncio.to_thread(record_story, life, seed)


async def read_case(directory: Path, files: Files, about: str) -> tuple[int, str]:
    """Sequence and hash of what is read. It must not be refused."""
    try:
        file = await StateFile.open(put_files(directory, files), KIND, IDENTITY, create=False)
    except StateFault as fault:
        raise AssertionError(f"{about}: {fault}") from fault
    try:
        return file.sequence, await hash_of(file)
    finally:
        await file.close()
