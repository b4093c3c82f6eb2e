"""Group commit: one at a time, what comes meanwhile goes next, and no success after a failure."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from actors.group_commit import Group, GroupCommit, GroupCommitThread
from actors.state_file import StateFile
from engine.errors import WriteFailed
from tests.actors.state_crashes import IDENTITY, KIND, read_content

Failures = list[BaseException]


class Numbers:
    """Numbers that are changes; a commit's row has all since the last."""

    def __init__(self) -> None:
        self.new: list[int] = []
        self.taken: list[list[int]] = []

    def take(self, sequence: int) -> Group | None:
        if not self.new:
            return None
        self.taken.append(self.new)
        row = bytes(self.new)
        self.new = []
        return Group(row, [], 1)


class Gate:
    """A file whose commits end when the test says so."""

    def __init__(self) -> None:
        self.sequence = 0
        self.begun = asyncio.Event()
        self.outcomes: asyncio.Queue[BaseException | None] = asyncio.Queue()

    async def commit(self, sequence: int, row: bytes, pages: list[tuple[int, bytes]], keep_from: int, /) -> None:
        assert sequence == self.sequence + 1
        self.begun.set()
        outcome = await self.outcomes.get()
        if outcome is not None:
            raise outcome
        self.sequence = sequence

    async def let_through(self, outcome: BaseException | None = None) -> None:
        await self.begun.wait()
        self.begun.clear()
        self.outcomes.put_nowait(outcome)


class Owner:
    """A source with its commits."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.numbers = Numbers()
        self.failures: Failures = []
        self.commits = GroupCommit(self.gate, self.numbers, self.failures.append)
        self.commits.start()

    def change(self, number: int) -> asyncio.Task[None]:
        """Changes something, and then waits."""
        self.numbers.new.append(number)
        self.commits.mark()
        return asyncio.create_task(self.commits.durable())


async def turns(count: int = 10) -> None:
    """Lets whatever is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_while_one_runs_goes_with_the_next() -> None:
    owner = Owner()
    first = owner.change(1)
    await owner.gate.begun.wait()
    others = [owner.change(number) for number in (2, 3, 4)]
    await turns()
    assert owner.numbers.taken == [[1]]
    await owner.gate.let_through()
    await first
    await owner.gate.begun.wait()
    assert owner.numbers.taken == [[1], [2, 3, 4]]
    await turns()
    assert not any(other.done() for other in others)
    await owner.gate.let_through()
    await asyncio.gather(*others)
    await owner.commits.close()
    assert owner.gate.sequence == 2


async def test_a_commit_that_runs_does_not_cover_what_is_changed_meanwhile() -> None:
    owner = Owner()
    owner.change(1)
    await owner.gate.begun.wait()
    late = owner.change(2)
    await owner.gate.let_through()
    await owner.gate.begun.wait()
    await turns()
    assert not late.done()
    await owner.gate.let_through()
    await late
    await owner.commits.close()


async def test_whoever_changed_nothing_waits_for_what_others_changed() -> None:
    owner = Owner()
    await owner.commits.durable()
    owner.change(1)
    reader = asyncio.create_task(owner.commits.durable())
    await owner.gate.begun.wait()
    await turns()
    assert not reader.done()
    await owner.gate.let_through()
    await reader
    await owner.commits.durable()
    await owner.commits.close()


async def test_a_mark_of_what_was_taken_already_needs_no_commit() -> None:
    owner = Owner()
    owner.numbers.new.append(1)
    owner.commits.mark()
    await owner.gate.begun.wait()
    ticket = owner.commits.mark()
    await owner.gate.let_through()
    await owner.commits.durable(ticket)
    assert owner.gate.sequence == 1
    await owner.commits.close()


async def test_one_who_gives_up_harms_nobody() -> None:
    owner = Owner()
    impatient = owner.change(1)
    patient = owner.change(2)
    await owner.gate.begun.wait()
    impatient.cancel()
    await owner.gate.let_through()
    await patient
    await owner.commits.close()


async def test_closing_commits_what_was_changed_and_then_refuses() -> None:
    owner = Owner()
    change = owner.change(1)
    closing = asyncio.create_task(owner.commits.close())
    await owner.gate.let_through()
    await closing
    await change
    await owner.commits.durable()
    with pytest.raises(WriteFailed, match="closed"):
        await owner.change(2)
    assert owner.failures == []


@pytest.mark.parametrize("error", [WriteFailed("file", "the disk is full"), ValueError("a bug")])
async def test_after_a_failure_nobody_ever_hears_of_a_success(error: Exception) -> None:
    owner = Owner()
    waiting = [owner.change(1)]
    await owner.gate.begun.wait()
    waiting += [owner.change(2), asyncio.create_task(owner.commits.durable(1))]
    await turns()
    await owner.gate.let_through(error)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes == [error] * 3
    assert owner.failures == [error]
    for late in (owner.change(3), owner.commits.durable(), owner.commits.durable(1), owner.commits.close()):
        with pytest.raises(type(error)):
            await late
    assert owner.failures == [error]
    assert owner.gate.outcomes.empty()
    assert owner.numbers.taken == [[1]]


async def test_the_owner_hears_of_a_failure_before_anybody_who_waits() -> None:
    """It ends the process: a waiter's error would be answered, as a refusal of what may be on the disk."""
    owner = Owner()
    waiting = [owner.change(1)]
    await turns()
    told: list[bool] = []
    owner.commits._on_failure = lambda error: told.extend(future.done() for _, future in owner.commits._waiting)
    await owner.gate.let_through(WriteFailed("file", "the disk is full"))
    await asyncio.gather(*waiting, return_exceptions=True)
    assert told == [False]


async def test_a_source_that_fails_is_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner()
    monkeypatch.setattr(owner.numbers, "take", lambda sequence: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await owner.change(1)
    assert [type(failure) for failure in owner.failures] == [ZeroDivisionError]


async def test_a_loop_that_ends_tells_waiters_of_no_success() -> None:
    owner = Owner()
    change = owner.change(1)
    await owner.gate.begun.wait()
    await turns()
    assert owner.commits._task is not None
    owner.commits._task.cancel()
    with pytest.raises(WriteFailed, match="the event loop ended"):
        await change
    assert owner.failures == []


# ---- threads ----------------------------------------------------------------------------------------------


class Locked(Numbers):
    """As a shard: its threads change it and its commits take it in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = threading.Lock()

    def take(self, sequence: int) -> Group | None:
        with self.turn:
            return super().take(sequence)


THREADS = 4
CHANGES = 60


def test_threads_wait_until_their_changes_are_in_the_file(tmp_path: Path) -> None:
    thread, source, failures = GroupCommitThread("commits"), Locked(), []
    file = thread.run(StateFile.open(tmp_path / "state.db", KIND, IDENTITY))
    thread.run(read_content(file))
    commits = thread.begin(file, source, failures.append)
    lost: list[int] = []

    def work(index: int) -> None:
        for _ in range(CHANGES):
            with source.turn:
                source.new.append(index)
                taken = len(source.taken)
                ticket = commits.mark()
            commits.wait(ticket)
            if file.sequence <= taken:
                lost.append(index)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    thread.run(commits.close())
    thread.run(file.close())
    again = thread.run(StateFile.open(tmp_path / "state.db", KIND, IDENTITY))
    _, rows = thread.run(read_content(again))
    thread.run(again.close())
    thread.close()
    assert (failures, lost) == ([], [])
    assert sorted(b"".join(rows.values())) == sorted([*range(THREADS)] * CHANGES)
    assert [*rows.values()] == [bytes(numbers) for numbers in source.taken]
    assert len(rows) < THREADS * CHANGES, "changes went together"


def test_a_failure_reaches_every_thread(tmp_path: Path) -> None:
    thread, source = GroupCommitThread("commits"), Locked()
    told = threading.Event()
    path = tmp_path / "state.db"
    file = thread.run(StateFile.open(path, KIND, IDENTITY))
    thread.run(read_content(file))
    commits = thread.begin(file, source, lambda error: told.set())
    os.rename(path, tmp_path / "moved.db")
    source.new.append(1)
    ticket = commits.mark()
    for _ in range(2):
        with pytest.raises(WriteFailed):
            commits.wait(ticket)
    assert told.wait(10)
    thread.run(file.close())
    thread.close()
