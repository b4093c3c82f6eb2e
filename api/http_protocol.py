"""What is done with a request before the application has it: a bound on its head, a refusal where it has no place."""

from __future__ import annotations

from typing import Any, Self, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.intake import Intake
from api.metrics import count_refused
from api.problems import problem_response
from engine.errors import Overloaded

__all__ = ["HttpProtocol"]

HEAD_BYTES_MAX = 64 * 1024
"""Of a request's line and headers; over it: 400, and the connection ends."""

PIECE_BYTES_MIN = 4096
"""Of a body, to be kept as it came."""


class Pieces:
    """What came of a body and was not taken yet: in the place of uvicorn's bytearray, which copies it twice."""

    def __init__(self) -> None:
        self.kept: list[bytes | bytearray] = []
        self._length = 0

    def __iadd__(self, piece: bytes) -> Self:
        """Small ones are put together: each has an overhead of its own."""
        self._length += len(piece)
        if len(piece) >= PIECE_BYTES_MIN:
            self.kept.append(piece)
        elif self.kept and isinstance(self.kept[-1], bytearray):
            self.kept[-1] += piece
        else:
            self.kept.append(bytearray(piece))
        return self

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self.kept)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, which would keep a head of any length, and has the application refuse what `intake` has no place for.

    What is refused here is read to its end, and nothing of it kept.
    """

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], intake: Intake
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._intake = intake
        self._head_bytes: int | None = None
        self._has_ended = False
        """A request, within the bytes that came last: how many of them are of the head behind it nobody knows."""
        self._is_refused = False
        """The request that is being read."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._is_refused = False

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        # Where this answer would come before that of a request ahead, or must have no body, the application refuses.
        is_first = self.cycle is None or self.cycle.response_complete
        # So it does where nobody takes its answers: it waits with the next until somebody does.
        may_refuse = is_first and not self.flow.write_paused and self.parser.get_method() != b"HEAD"
        if self.transport.is_closing():
            self._is_refused = True  # behind one that asked for that
        elif may_refuse and self._intake.refuses(self.url):
            self._is_refused = True
            self._refuse()
        else:
            super().on_headers_complete()
            self.cycle.body = cast("bytearray", Pieces())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Overrides uvicorn's, to count what has not taken its place yet."""
        self._intake.announce()

        async def run(scope: Any, receive: Any, send: Any) -> None:
            self._intake.arrive()
            scope["state"]["body_is_there"] = not cycle.more_body

            async def receive_pieces() -> Any:
                message = await receive()
                cycle.body = cast("bytearray", Pieces())
                return message

            await self.app(scope, receive_pieces, send)

        super()._start_asgi_task(cycle, run)

    def _refuse(self) -> None:
        count_refused()
        lines = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
        if not self._keeps_alive():
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([_REFUSAL_LINE, *lines, _REFUSAL]))

    def on_body(self, body: bytes) -> None:
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_ended = True
        if not self._is_refused:
            super().on_message_complete()
        elif not self._keeps_alive():
            self.transport.close()  # not before: what came then would have the system reset the connection

    def _keeps_alive(self) -> bool:
        """As uvicorn has it: not for HTTP/1.0."""
        keeps: bool = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        return keeps

    def data_received(self, data: bytes) -> None:
        self._has_ended = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_refused and self.timeout_keep_alive_task is None:
            timeout = self.timeout_keep_alive_handler
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, timeout)
        if self._head_bytes is not None and not self._has_ended:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.send_400_response("The request's line and headers are too long.")


def _refusal() -> bytes:
    """The application's own answer, from the headers that are always the same to its end."""
    error = Overloaded("Too many requests are under way.")
    response = problem_response(error.status, error.detail, headers={"Retry-After": str(error.retry_after_s)})
    headers = {"Content-Type": response.media_type, "Content-Length": len(response.content), **response.headers}
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    return f"{lines}\r\n".encode() + response.content


_REFUSAL_LINE = b"HTTP/1.1 429 Too Many Requests\r\n"
_REFUSAL = _refusal()
