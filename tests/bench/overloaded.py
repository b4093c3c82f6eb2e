"""A product that refuses by a rule instead of by its load, with each fault that an overload could bring."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self

import msgspec
import uvloop

from api.context import encoded
from api.http_server import HttpServer, bind
from api.intake import Intake
from api.problems import problem_response
from bench.connection import PREFIX
from engine import Engine
from engine.config import default_settings

NOW = 1_767_225_600  # 2026-01-01T00:00:00Z


class Product:
    """The engine behind a real HTTP server in a thread, in the place of a `Server`.

    It refuses every other decision that is asked for the first time; `fault` says what it does wrong then.
    """

    fault = ""

    def __init__(self, *_: str) -> None:
        self._engine = Engine()
        self._refused_by_body: dict[bytes, bool] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))
        self.host, self.port = "127.0.0.1", 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        with bind(self.host, 0) as listener:
            self.port = listener.getsockname()[1]
            # No bound of the front end's own: on a machine that stands still for a moment it would refuse, too.
            intake = Intake(msgspec.structs.replace(default_settings().limits, requests_in_flight_max=65_536))
            self._server = HttpServer(self, intake, 0, self._ready.set)  # type: ignore[arg-type]
            await self._server.serve([listener])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        status, headers, answer = self._decide(scope["path"].removeprefix(PREFIX), scope["method"], body)
        length = (b"content-length", str(len(answer) + (1 if status == 0 else 0)).encode())
        await send({"type": "http.response.start", "status": status or 200, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": answer, "more_body": False})

    def _decide(self, path: str, method: str, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers, body; status 0 for an answer that ends too early."""
        if path.startswith("/campaigns/"):
            name = path.split("/")[2]
            if method == "PUT":
                self._engine.put_campaign(msgspec.json.decode(body), name)
            return 200, [], encoded(self._engine.status(name, NOW)) if method == "GET" else b"{}"
        if body not in self._refused_by_body:
            self._refused_by_body[body] = refused = len(self._refused_by_body) % 2 == 0
        else:
            refused = self._refused_by_body[body] and self.fault == "refuses again"
        if refused:
            return self._refuse(path, body)
        return 200, [], self._decided(path, body)

    def _decided(self, path: str, body: bytes) -> bytes:
        if path == "/send-batch":
            return self._engine.send_batch_json(body, NOW)
        return encoded(self._engine.send(body, NOW))

    def _refuse(self, path: str, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if self.fault == "decides what it refuses":
            self._decided(path, body)
        if self.fault == "answers for another":
            return 200, [], self._decided(path, body).replace(b"customer-", b"somebody-")
        refusal = problem_response(503 if self.fault == "503" else 429, "too much").content
        headers = [] if self.fault == "does not say when" else [(b"retry-after", b"0")]
        return 0 if self.fault == "breaks off" else 429 if self.fault != "503" else 503, headers, refusal
