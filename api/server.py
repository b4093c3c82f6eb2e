"""The server: the cluster, the application over it, one event loop, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

import uvloop

from actors.cluster import Cluster, running
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
    with bind(settings.host, settings.port) as listener, running(settings, address) as cluster:
        uvloop.run(_serve(cluster, settings, listener, announce))


async def _serve(
    cluster: Cluster, settings: Settings, listener: socket.socket, announce: Callable[[str], None]
) -> None:
    client = cluster.client()
    app = create_app(client, settings)
    server = HttpServer(
        app,
        app.state.intake,
        settings.limits.drain_timeout_ms,
        lambda: announce(_url(settings.host, listener)),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    await server.serve([listener])
    await client.close()


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
