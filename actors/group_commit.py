"""One commit at a time, and no timer: what is changed while one runs goes with the next.

Whoever changes something calls `mark` afterwards and waits with `durable` (a coroutine) or `wait` (a thread) before
it tells anyone. Whoever tells what it only read waits as well: what it read may not be on the disk yet.

When a commit fails, memory is ahead of the disk and nobody knows what the disk has. The owner hears of it once and
ends the process; no waiter hears of a success, neither then nor later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol, TypeVar

from actors.state_file import StateFile
from engine.errors import WriteFailed

__all__ = ["CommitLog", "Group", "GroupCommit", "GroupCommitThread", "Source", "end_process"]

T = TypeVar("T")

logger = logging.getLogger("madan_sara.state")

WRITE_FAILED_EXIT_STATUS = 4

CLOSED = WriteFailed("group commit", "it is closed")


class Group(NamedTuple):
    """What one commit writes; see `StateFile.commit`."""

    row: bytes
    pages: list[tuple[int, bytes]]
    keep_from: int


class Source(Protocol):
    """Whose changes are committed."""

    def take(self, sequence: int) -> Group | None:
        """All that was changed since the last call, as the commit of this number; None where nothing was.

        Called on the loop of the commits, which waits meanwhile. What it returned is not asked for again.
        """


class CommitLog(Protocol):
    """Where it is committed: a `StateFile`."""

    @property
    def sequence(self) -> int:
        """Of the last commit."""

    async def commit(self, sequence: int, row: bytes, pages: list[tuple[int, bytes]], keep_from: int, /) -> None:
        """Durable on return."""


class GroupCommit:
    """The commits of one source to one file. `start` and `close` belong to one event loop; the rest to any thread."""

    def __init__(self, file: CommitLog, source: Source, on_failure: Callable[[BaseException], None]) -> None:
        self._file = file
        self._source = source
        self._on_failure = on_failure
        self._mutex = threading.Lock()
        self._marked = 0
        self._durable = 0
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        self._failure: BaseException | None = None
        self._wakes = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._closed = False

    def start(self) -> None:
        """Begins to commit, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._commit_for_ever())

    def mark(self) -> int:
        """Something was changed: it goes with the next commit. The number to wait for."""
        with self._mutex:
            self._marked += 1
            ticket = self._marked
        self._wake()
        return ticket

    async def durable(self, ticket: int | None = None) -> None:
        """Waits until what was changed before `mark` gave out this number is durable; without one, all until now.

        Raises what made a commit fail, however often it is called after that.
        """
        future = self._future(ticket)
        if future is not None:
            await asyncio.wrap_future(future)

    def wait(self, ticket: int | None = None) -> None:
        """As `durable`, for threads other than the loop's."""
        future = self._future(ticket)
        if future is not None:
            future.result()

    async def close(self) -> None:
        """Commits what was changed until now, and commits no more. Raises what made a commit fail."""
        self._closing = True
        self._wakes.set()
        if self._task is not None:
            await self._task
        if self._failure is not None:
            raise self._failure

    def _future(self, ticket: int | None) -> Future[None] | None:
        """What to wait for, or None where it is durable already."""
        with self._mutex:
            if self._failure is not None:
                raise self._failure
            ticket = self._marked if ticket is None else ticket
            if ticket <= self._durable:
                return None
            if self._closed:
                raise CLOSED
            future: Future[None] = Future()
            self._waiting.append((ticket, future))
            return future

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wakes.set)

    async def _commit_for_ever(self) -> None:
        try:
            while not (self._closing and self._marked == self._durable):
                if self._marked == self._durable:
                    await self._wakes.wait()
                    self._wakes.clear()
                    continue
                await self._commit_once()
            self._end_waiting(CLOSED, is_failure=False)
        except asyncio.CancelledError:  # the loop ends, and nobody knows of the commit that ran
            self._end_waiting(WriteFailed("group commit", "the event loop ended"), is_failure=True)
            raise
        except BaseException as error:
            # The owner first, who ends the process: a waiter that were told of an error would have it for a refusal,
            # and let go of what may be on the disk, such as a key under which people were decided.
            try:
                self._on_failure(error)
            finally:
                self._end_waiting(error, is_failure=True)

    async def _commit_once(self) -> None:
        marked = self._marked  # before `take`: a mark that comes later may be of a change that was not taken
        sequence = self._file.sequence + 1
        group = self._source.take(sequence)
        if group is not None:
            await self._file.commit(sequence, *group)
        with self._mutex:
            self._durable = marked
            done = [future for ticket, future in self._waiting if ticket <= marked]
            self._waiting = deque(entry for entry in self._waiting if entry[0] > marked)
        for future in done:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _end_waiting(self, error: BaseException, is_failure: bool) -> None:
        with self._mutex:
            self._closed = True
            self._failure = error if is_failure else None
            waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)


class GroupCommitThread:
    """A thread with an event loop of its own, for owners that have none: the file and its commits live there."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the thread and waits for it: to open a file, to read it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def begin(self, file: StateFile, source: Source, on_failure: Callable[[BaseException], None]) -> GroupCommit:
        """Begins to commit a source's changes. Its `take` is called on this thread, as is `on_failure`."""
        commits = GroupCommit(file, source, on_failure)

        async def start() -> None:
            commits.start()

        self.run(start())
        return commits

    def close(self) -> None:
        """Ends the thread. Close what lives on it before."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run_loop(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


def end_process(error: BaseException) -> None:
    """What an actor does when a commit failed: nothing that is in memory may be answered any more. Ray begins another
    process, which goes on from the file."""
    logger.critical("what was changed could not be written down, so this process ends: %s", error)
    os._exit(WRITE_FAILED_EXIT_STATUS)
