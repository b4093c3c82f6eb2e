"""The server: the cluster, the application over it, one event loop, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

import uvloop

from actors.cluster import running
from api.app import create_app
from api.http_server import HttpServer, bind
from api.log import configure_logging
from engine.config import Settings

__all__ = ["serve"]


def serve(settings: Settings, address: str, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT, then lets requests under way finish and returns.

    `announce` is called once with the URL when requests can be answered. `address` is that of the Ray cluster.
    Raises `ConfigurationError` if the host and port cannot be bound.
    """
    configure_logging()
    with bind(settings.host, settings.port) as listener, contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_serve(settings, address, listener, announce))


async def _serve(settings: Settings, address: str, listener: socket.socket, announce: Callable[[str], None]) -> None:
    this = asyncio.current_task()
    assert this is not None
    _on_stop(this.cancel)
    async with running(settings, address) as outreach:
        server = HttpServer(
            create_app(outreach, settings),
            settings.limits.drain_timeout_ms,
            lambda: announce(_url(settings.host, listener)),
        )
        _on_stop(server.stop)  # again, since starting Ray takes the handlers away
        await server.serve([listener])


def _on_stop(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
