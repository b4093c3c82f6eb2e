"""uvicorn, as this front end runs it: on a socket bound before, telling when it is ready, stopped by a call."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

import uvicorn
from litestar import Litestar

from api.acceptor import Acceptor
from api.http_protocol import HttpProtocol
from api.intake import Intake
from engine.errors import ConfigurationError

__all__ = ["HttpServer", "bind"]

GARBAGE = 20_000
"""Objects more than there were, before a collection looks for garbage among them. At Python's 700 a sixth of the time
under overload went into that: connections and requests under way are no garbage."""


class HttpServer(uvicorn.Server):
    """Serves `app`, to which `intake` lets requests in, and calls `on_ready` once it can answer.

    Signals are left to the caller: uvicorn's own handling ends the process by the signal it caught.
    """

    def __init__(self, app: Litestar, intake: Intake, drain_timeout_ms: int, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                proxy_headers=False,
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=-(-drain_timeout_ms // 1000),
            )
        )
        self._intake = intake
        self._on_ready = on_ready
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Overrides uvicorn's, to accept as `Acceptor` does, and to tell when it is done."""
        await super().startup([])
        if not self.should_exit:
            self._acceptors += [Acceptor(listener, self._protocol) for listener in sockets or []]
            # What is there by now stays for good: no collection of garbage needs to look at it again, which takes long.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE)
            self._on_ready()

    def _protocol(self) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state, self._intake)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Overrides uvicorn's, which knows the servers that it has made itself."""
        for acceptor in self._acceptors:
            acceptor.stop()
            await acceptor.opened()  # uvicorn ends the idle ones that it knows
        await super().shutdown(sockets)

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
