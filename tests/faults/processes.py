"""The real shards and the real ledger as Ray would run them, each with files of its own, and able to end at any step.

No Ray and no process: a life is an object with threads, or with tasks on the loop. Calls go as Ray's do: to one that is
dead they fail at once, of one that dies they are never answered, to one that begins they wait. What a life leaves is a
copy of its files at the instant of its death; what its threads do after that is seen by nobody and written nowhere.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.answers import ActorUnreachable, NoAnswerInTime
from actors.ledger import Ledger
from actors.ledger_file import LedgerFile
from actors.shard import Shard
from actors.shard_link import ActorLink
from actors.timeouts import Timeouts
from engine.settings import Settings

if TYPE_CHECKING:
    from tests.faults.machine import Machine

THREADS = 8
JOIN_S = 30.0
OF_LEDGER = {"release", "learned", "publish", "end"}
"""Of a shard's methods, those that run on the ledger's thread."""


class Ended(SystemExit):
    """Raised in a thread of a process that has ended. Not an error that a shard would answer."""


class Call(NamedTuple):
    """Under way at a life."""

    method: str
    caller: int | None
    """The shard that asks, if it is one."""


class Reference:
    """What a call gives, as Ray's reference does."""

    def __init__(self, answer: Future[Any]) -> None:
        self._answer = answer

    def future(self) -> Future[Any]:
        return self._answer

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.wrap_future(self._answer).__await__()


class Method(NamedTuple):
    ask: Callable[..., Reference]
    name: str

    def remote(self, *arguments: Any) -> Reference:
        return self.ask(self.name, *arguments)


class Handle:
    """An actor's, for one who may die himself, or for clients. Finds the life that is there."""

    def __init__(self, target: Callable[[], Process], caller: Process | None = None) -> None:
        self._target = target
        self._caller = caller

    def __getattr__(self, name: str) -> Method:
        return Method(self._ask, name)

    def _ask(self, method: str, *arguments: Any) -> Reference:
        if self._caller is not None and not self._caller.alive:
            raise asyncio.CancelledError  # it is the ledger, on the loop
        return Reference(self._target().call(method, None, arguments))


class Process(ABC):
    """A life of a shard or of the ledger."""

    def __init__(self, machine: Machine, name: str, directory: Path) -> None:
        self.machine = machine
        self.name = name
        self.directory = directory
        self.alive = True
        self.writing = threading.Lock()
        """Held while a file is opened or a commit runs: a death comes before or after that."""
        self.calls: dict[Future[Any], Call] = {}
        self.asked: set[Future[Any]] = set()
        """What its threads wait for."""
        self._mutex = threading.Lock()
        self._is_doomed = False

    def call(self, method: str, caller: int | None, arguments: tuple[Any, ...]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._mutex:
            if self.alive:
                self.calls[answer] = Call(method, caller)
        if not self.alive:
            self._settle(answer)
        else:
            self._run(answer, method, arguments)
        return answer

    def doing(self, *methods: str) -> Call | None:
        """A call of these methods that is under way."""
        with self._mutex:
            return next((call for call in self.calls.values() if call.method in methods), None)

    def doom(self) -> bool:
        """Whether it is the first time, and it is to `end` now."""
        with self._mutex:
            is_first, self._is_doomed = not self._is_doomed, True
        return is_first

    def end(self, next_directory: Path) -> None:
        """Dies. Its next life begins from the files as they are now."""
        with self.writing:
            self.alive = False
            shutil.copytree(self.directory, next_directory)
        with self._mutex:
            unanswered = list(self.calls)
        for answer in unanswered:
            self._settle(answer)
        for answer in list(self.asked):
            settle(answer, None, Ended())

    def _settle(self, answer: Future[Any], value: Any = None, error: BaseException | None = None) -> None:
        """Whoever is dead answers nothing."""
        if not self.alive:
            error = ActorUnreachable(f"The {self.name} is starting again.")
        with self._mutex:
            self.calls.pop(answer, None)
        settle(answer, value, error)

    @abstractmethod
    def _run(self, answer: Future[Any], method: str, arguments: tuple[Any, ...]) -> None:
        """Has a method of what lives here run, and settles its answer."""


def settle(answer: Future[Any], value: Any, error: BaseException | None) -> None:
    """The first outcome counts."""
    with suppress(InvalidStateError):
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)


class LedgerProcess(Process):
    """On the loop of the clients."""

    ledger: Ledger

    def __init__(self, machine: Machine, directory: Path) -> None:
        super().__init__(machine, "ledger", directory)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = asyncio.Event()

    async def begin(self, settings: Settings, create: bool) -> None:
        file = await LedgerFile.open(self.directory, settings.shards, self.machine.fail, create=create)
        timeouts, links = Timeouts.of(settings), []
        for index in range(settings.shards):
            link = ActorLink(index, timeouts)
            link._actor = Handle(self.machine.finder(index), self)
            links.append(link)
        self.ledger = Ledger(settings, links, file)
        self._is_open.set()

    def _run(self, answer: Future[Any], method: str, arguments: tuple[Any, ...]) -> None:
        async def work() -> None:
            await self._is_open.wait()
            try:
                value = True if method == "ping" else await getattr(self.ledger, method)(*arguments)
            except Exception as error:
                self._settle(answer, error=error)
            else:
                self._settle(answer, value)

        def start() -> None:
            task = self._loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(start)

    async def wind_up(self) -> None:
        """Ends what it would go on with, being dead."""
        await self._is_open.wait()
        ledger, file = self.ledger, self.ledger._file._file
        (commits := ledger._file._entries._commits._task).cancel()  # type: ignore[union-attr]
        acquiring = {task for _, task in ledger._acquiring.values()}
        changes, recalls = ledger._changes._under_way, ledger._recalls._under_way.values()
        tasks = {*self._tasks, *ledger._under_way, *changes, *recalls, *acquiring}
        for task in tasks:
            task.cancel()
        await asyncio.gather(commits, *tasks, return_exceptions=True)
        await file.close()


class SteppedShard(Shard):
    """A shard that asks the ledger of the machine, and ends with its process."""

    def __init__(self, process: ShardProcess, index: int, settings: Settings) -> None:
        self._process = process
        process.shard = self  # before it may end
        super().__init__(index, settings)

    def _begin(self) -> None:
        """On whatever thread; those of timers are nobody else's."""
        with suppress(Ended):
            super()._begin()

    def _open_line(self) -> None:
        """The clients of the machine have none."""

    def _ask_ledger(self, method: str, timeout_s: float, *arguments: object) -> Any:
        return self._process.ask_ledger(method, timeout_s, arguments)


class ShardProcess(Process):
    """In threads: those of the callers, and the ledger's."""

    def __init__(self, machine: Machine, index: int, directory: Path) -> None:
        super().__init__(machine, f"shard-{index}", directory)
        self.index = index
        self._callers = ThreadPoolExecutor(THREADS, f"{self.name}-callers")
        self._ledgers = ThreadPoolExecutor(1, f"{self.name}-ledgers")
        self._has_begun = threading.Event()
        self.shard: Shard

    def begin(self, settings: Settings) -> None:
        """Returns when it can be called."""
        try:
            SteppedShard(self, self.index, settings)
        finally:
            self._has_begun.set()

    def ask_ledger(self, method: str, timeout_s: float, arguments: tuple[object, ...]) -> Any:
        self.reach(f"{method} sent")
        answer = self.machine.ledger_process.call(method, self.index, arguments)
        self.asked.add(answer)
        if not self.alive:
            raise Ended
        try:
            value = answer.result(timeout_s)
        except TimeoutError:
            raise NoAnswerInTime(f"The ledger did not answer within {timeout_s:g} s.") from None
        except CancelledError:
            raise ActorUnreachable("The ledger is starting again.") from None
        finally:
            self.asked.discard(answer)
        self.reach(f"{method} answered")
        return value

    def reach(self, step: str) -> None:
        """On one of its threads, which ends if the process does."""
        if self.alive:
            self.machine.reach(step, self.index)
        if not self.alive:
            raise Ended

    def _run(self, answer: Future[Any], method: str, arguments: tuple[Any, ...]) -> None:
        def work() -> None:
            self._has_begun.wait(JOIN_S)
            try:
                if not self.alive:
                    raise Ended
                if method == "release":
                    self.reach("release asked")
                value = getattr(self.shard, method)(*arguments)
                if method == "release":
                    self.machine.recalled = self.index
                    self.reach("release reported")
            except BaseException as error:
                self._settle(answer, error=error)
            else:
                self._settle(answer, value)

        (self._ledgers if method in OF_LEDGER else self._callers).submit(work)

    def wind_up(self) -> None:
        """Has its threads end, being dead. Blocks."""
        self._has_begun.wait(JOIN_S)
        with self.shard._one:
            self.shard._has_ended = True  # it does not try again to begin
        writer = self.shard._writer
        if writer._commits is not None and writer._commits._task is not None:
            writer._thread.run(_cancel(writer._commits._task))
        self._callers.shutdown()
        self._ledgers.shutdown()
        if writer._file is not None:
            writer._thread.run(writer._file.close())
        writer._thread.close()


def _cancel(task: asyncio.Task[None]) -> Coroutine[Any, Any, None]:
    async def cancel() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return cancel()
