"""A front end over real HTTP, served from a thread on a free loopback port."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import uvloop

from actors.cluster import Cluster
from api.app import create_app
from api.http_server import HttpServer, bind
from engine.config import Settings


class Front:
    """A front end of a cluster in a thread of its own, with settings of its own. Serves while it is entered."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._listener = bind("127.0.0.1", 0)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        client = self._cluster.client()
        app = create_app(client, self._settings)
        drain_timeout_ms = self._settings.limits.drain_timeout_ms
        self._server = HttpServer(app, app.state.intake, drain_timeout_ms, self._ready.set)
        await self._server.serve([self._listener])
        await client.close()

    def __enter__(self) -> Front:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._listener.close()


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail"}
    return dict(problem)
