"""One kept-alive HTTP connection of the load generators, which costs little: it shares the cores with the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, cast

__all__ = ["Answer", "Request", "Stream"]

END_OF_HEAD = b"\r\n\r\n"

Request = bytes | Sequence[bytes]
"""Its bytes, or pieces of them that several requests share."""


class Answer(NamedTuple):
    """To the request at `position`; `seconds` from due to its last byte; `head` in lower case."""

    position: int
    seconds: float
    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        """Of HTTP."""
        return int(self.head[9:12])

    def header(self, name: bytes) -> bytes | None:
        """The value of a header, None where there is none. `name` in lower case."""
        _, found, rest = self.head.partition(b"\r\n" + name + b":")
        return rest.partition(b"\r\n")[0].strip() if found else None


class Stream(asyncio.Protocol):
    """Speaks as much HTTP/1.1 as a JSON API needs, one request at a time."""

    def __init__(
        self, idle: Callable[[Stream], None], answered: Callable[[Answer], None], lost: Callable[[str], None]
    ) -> None:
        """Calls `idle` whenever it can send, `answered` with each answer, `lost` where there will be none."""
        self._idle, self._answered, self._lost = idle, answered, lost
        self._asked: tuple[int, float] | None = None
        self._received = bytearray()
        self._head = b""
        self._end = 0
        """Of the answer, once its head is there."""
        self._is_writing = False
        self.is_closed = False

    def send(self, request: Request, position: int, due: float) -> None:
        """Only while it is idle; `due` by `perf_counter`."""
        self._asked = position, due
        if isinstance(request, bytes):
            self._transport.write(request)
        else:
            self._transport.writelines(request)

    def close(self) -> None:
        """Closes the socket."""
        self._asked = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It hears of any bytes that wait: a request may be answered before all of it is sent."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        """Some bytes wait."""
        self._is_writing = True

    def resume_writing(self) -> None:
        """None do any more."""
        self._is_writing = False
        if self._asked is None:
            self._idle(self)

    def data_received(self, data: bytes) -> None:
        """Some of an answer."""
        self._received += data
        if not self._head:
            begin = self._received.find(END_OF_HEAD) + len(END_OF_HEAD)
            if begin < len(END_OF_HEAD):
                return
            self._head = bytes(self._received[:begin]).lower()
            length = Answer(0, 0, self._head, b"").header(b"content-length")
            if length is None:
                self._transport.abort()  # nobody knows where it ends
                return
            self._end = begin + int(length)
        if len(self._received) >= self._end:
            self._finish()

    def _finish(self) -> None:
        now, asked, head = perf_counter(), self._asked, self._head
        body = bytes(self._received[len(head) : self._end])
        del self._received[: self._end]
        self._asked, self._head = None, b""
        if asked is None:
            self._lost("an answer came that nobody had asked for")
            self._transport.abort()
            return
        position, due = asked
        self._answered(Answer(position, now - due, head, body))
        if not self._is_writing:
            self._idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The server ends what was idle too long for it; anything else is a fault."""
        self.is_closed = True
        if self._asked is not None:
            self._asked = None
            self._lost(f"the connection ended before the answer did: {error!r}")
