"""Asking an actor over its line (`actors.line`) where there is one; where there is none, by Ray, is for the caller.

Calls do not share a connection: whoever finds none idle opens another. Where a call ends in any other way than with
its answer its connection is closed, since the answer may still come. What that means is the same as of a call of
Ray's: it may have run or not, or may yet run.
"""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar, cast
from weakref import WeakSet

import msgspec
import ray

from actors.answers import ActorUnreachable, NoAnswerInTime
from actors.line import is_ours
from actors.line_frames import HEAD, frame

__all__ = ["LineCaller"]

A = TypeVar("A")

REFUSED_S = 5.0
"""For so long nobody tries to connect again after the actor refused to, or had no line."""

IDLE_MAX = 8
"""Connections that are kept while nobody uses them."""


class LineCaller:
    """The connections of one client to one actor. Lives on one event loop."""

    def __init__(self, who: str, ask_line: Callable[[], Awaitable[tuple[str, str] | None]], timeout_s: float) -> None:
        """`who` is the actor's name, for errors. `ask_line` asks the actor for its `line`, and raises as any call."""
        self._who = who
        self._ask_line = ask_line
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []
        self._opened: WeakSet[_Connection] = WeakSet()
        self._name: str | None = None
        """Of the socket, once it was told and as long as it answers."""
        self._not_before = 0.0
        """By the loop's clock: when to try again to connect."""
        self._end_of_loop: asyncio.Task[None] | None = None
        self._is_closed = False

    async def ask(self, call: bytes, read: Callable[[bytearray], A]) -> A | None:
        """What `read` makes of the answer to a call; None if nothing was asked, since there is no line.

        `read` raises `MsgspecError` for what is no answer. Raises `ActorUnreachable`, and what `ask_line` does.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            connection = self._idle_one()
            if connection is None:
                async with asyncio.timeout_at(deadline):
                    connection = await self._connect()
            if connection is None:
                return None
            answer = await self._ask(connection, call, read, deadline)
        except TimeoutError:
            raise NoAnswerInTime(f"The {self._who} did not answer within {self._timeout_s:g} s.") from None
        except (ConnectionError, msgspec.MsgspecError):
            self._name = None
            raise ActorUnreachable(f"The {self._who} is starting again.") from None
        if len(self._idle) < IDLE_MAX and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def _ask(self, connection: _Connection, call: bytes, read: Callable[[bytearray], A], deadline: float) -> A:
        try:
            return read(await connection.ask(call, deadline))
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Closes all connections, in use or not, and opens no more: there is no line any more."""
        self._is_closed = True
        if self._end_of_loop is not None:
            self._end_of_loop.cancel()
        _close_all(self._opened)
        self._idle.clear()

    def _idle_one(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed:
                return connection
            self._name = None
        return None

    async def _connect(self) -> _Connection | None:
        """A connection on which the actor has said that it serves it."""
        loop = asyncio.get_running_loop()
        if self._has_closed() or loop.time() < self._not_before:
            return None
        if self._name is None:
            line = await self._ask_line()
            if line is None or line[0] != ray.get_runtime_context().get_node_id():
                self._not_before = loop.time() + REFUSED_S
                return None
            self._name = line[1]
        if self._end_of_loop is None or self._end_of_loop.done():
            self._end_of_loop = _close_at_end(self, self._opened)
        try:
            connection = await _Connection.to(self._name, self._opened)
        except OSError as error:
            self._name = None
            if not isinstance(error, ConnectionRefusedError):  # that one has gone: the next call asks where it is now
                self._not_before = loop.time() + REFUSED_S
            return None
        if self._has_closed():
            connection.close()
            return None
        return connection

    def _has_closed(self) -> bool:
        """Asked again after each wait, as it may have been closed meanwhile."""
        return self._is_closed


class _Connection(asyncio.BufferedProtocol):
    """Frames, one at a time, into buffers of their size."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._head = bytearray(HEAD.size)
        self._content: bytearray | None = None
        self._filled = 0
        self._frame: asyncio.Future[bytearray] = asyncio.get_running_loop().create_future()
        self.is_closed = False

    @classmethod
    async def to(cls, name: str, opened: WeakSet[_Connection]) -> _Connection:
        """Raises OSError, a `ConnectionError` where it is not welcome. It is in `opened` from its beginning."""
        unconnected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unconnected.setblocking(False)
        try:
            unconnected.connect(name)  # at once, or never: BlockingIOError where too many wait already
            if not is_ours(unconnected):  # names are free again when a process ends, for anyone to take
                raise ConnectionRefusedError(f"another user has the socket {name!r}")
            _, connection = await asyncio.get_running_loop().create_unix_connection(cls, sock=unconnected)
        except BaseException:
            unconnected.close()
            raise
        opened.add(connection)
        try:
            await connection._frame
        except BaseException:
            connection.close()
            raise
        return connection

    async def ask(self, content: bytes, deadline: float) -> bytearray:
        """The answer. Raises `ConnectionError`, `TimeoutError`."""
        loop = asyncio.get_running_loop()
        self._frame = loop.create_future()
        if self.is_closed:
            raise ConnectionResetError
        self._transport.writelines(frame(content))
        timer = loop.call_at(deadline, self._fail, TimeoutError())
        try:
            return await self._frame
        finally:
            timer.cancel()

    def close(self) -> None:
        """Also while an answer is to come."""
        self.is_closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        self._fail(ConnectionResetError())

    def _fail(self, error: Exception) -> None:
        if not self._frame.done():
            self._frame.set_exception(error)
            self._frame.exception()  # whoever has gone will not look at it, which asyncio would complain of

    def get_buffer(self, _: int) -> memoryview:
        return memoryview(self._head if self._content is None else self._content)[self._filled :]

    def buffer_updated(self, count: int) -> None:
        self._filled += count
        if self._content is None and self._filled == HEAD.size:
            self._content, self._filled = bytearray(HEAD.unpack(self._head)[0]), 0
        if self._content is not None and self._filled == len(self._content):
            content, self._content, self._filled = self._content, None, 0
            if self._frame.done():
                self.close()  # nobody asked
            else:
                self._frame.set_result(content)


_ENDS: set[asyncio.Task[None]] = set()
"""A loop does not keep its tasks."""


def _close_at_end(caller: LineCaller, opened: WeakSet[_Connection]) -> asyncio.Task[None]:
    """Has the connections closed on their loop, for a caller that nobody closes: when the loop ends, as what still runs
    on it is cancelled then, and when the caller is no more."""

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            _close_all(opened)

    loop = asyncio.get_running_loop()
    task = loop.create_task(wait())
    _ENDS.add(task)
    task.add_done_callback(_ENDS.discard)
    weakref.finalize(caller, _cancel_soon, loop, task).atexit = False
    return task


def _cancel_soon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """From whichever thread collects garbage."""
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(task.cancel)


def _close_all(opened: WeakSet[_Connection]) -> None:
    for connection in list(opened):
        connection.close()
