"""uvicorn, as this front end runs it: on a socket bound before, telling when it is ready, stopped by a call."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engine.errors import ConfigurationError

__all__ = ["HttpServer", "bind"]


HEAD_BYTES_MAX = 64 * 1024
"""Of a request's line and headers; over it: 400, and the connection ends."""


class _BoundedHead(HttpToolsProtocol):
    """uvicorn's, which would keep a line or headers of any length."""

    _head_bytes: int | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("The request's line and headers are too long.")


class HttpServer(uvicorn.Server):
    """Serves `app` and calls `on_ready` once it can answer.

    Signals are left to the caller: uvicorn's own handling ends the process by the signal it caught.
    """

    def __init__(self, app: Litestar, drain_timeout_ms: int, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_BoundedHead,
                proxy_headers=False,
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=-(-drain_timeout_ms // 1000),
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Overrides uvicorn's, to tell when it is done."""
        await super().startup(sockets)
        if not self.should_exit:
            # What is there by now stays for good: no collection of garbage needs to look at it again, which takes long.
            gc.collect()
            gc.freeze()
            self._on_ready()

    def stop(self) -> None:
        """Takes no more connections, lets requests under way finish, and makes `serve` return."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Overrides uvicorn's, to capture none."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `ConfigurationError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            "host, port", f"take an address that is free to bind; {error.strerror or error}"
        ) from None
    listener.setblocking(False)
    return listener
