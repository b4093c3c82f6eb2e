"""Beyond the bounds: who is refused hears so at once, at little cost, and the connection goes on."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import uvloop

from actors.client import BATCHES_MAX
from api.http_server import HttpServer, bind
from api.intake import Intake
from engine.config import default_settings
from engine.errors import Overloaded
from tests.api.front import Front

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PATH = "/api/v1/outreach/send"
BATCH_PATH = "/api/v1/outreach/send-batch"
ROUNDS = 12
WAITING = 100
MANY = 100_000
PATIENCE_S = 30


class Application:
    """Counts requests, and answers each when the test says so."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.calls = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.calls += 1
        with self._intake.place(scope):
            await self.may_answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok", "more_body": False})


class Serving:
    """A server, its application and who speaks to it."""

    def __init__(self, application: Application, server: HttpServer, intake: Intake, port: int) -> None:
        self.application, self.server, self.intake, self.port = application, server, intake, port
        self.writers: list[asyncio.StreamWriter] = []

    async def ask(
        self, *headers: str, body: bytes = b"", method: str = "POST", path: str = PATH, behind: bytes = b""
    ) -> Streams:
        """Sends a request over a connection of its own, and what is behind it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(request(*headers, body=body, method=method, path=path) + behind)
        return reader, writer

    async def fill(self, places: int) -> list[Streams]:
        """Takes all places."""
        taken = [await self.ask() for _ in range(places)]
        await self.reached(places)
        return taken

    async def reached(self, calls: int) -> None:
        """Waits until so many requests are at the application."""
        while self.application.calls < calls:  # noqa: ASYNC110
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(requests_max: int) -> AsyncIterator[Serving]:
    """A server whose bound is that."""
    limits = msgspec.structs.replace(default_settings().limits, requests_in_flight_max=requests_max)
    intake, ready = Intake(limits), asyncio.Event()
    application = Application(intake)
    with bind("127.0.0.1", 0) as listener:
        server = HttpServer(application, intake, 0, ready.set)  # type: ignore[arg-type]
        task = asyncio.create_task(server.serve([listener]))
        await ready.wait()
        served = Serving(application, server, intake, listener.getsockname()[1])
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield served
        finally:
            application.may_answer.set()
            for writer in served.writers:
                writer.transport.abort()
            server.stop()
            await task


def on_the_servers_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Runs it on uvloop, as the server does."""

    def run() -> None:
        uvloop.run(test())  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def request(*headers: str, body: bytes = b"", method: str = "POST", path: str = PATH) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if not any(header.startswith("Content-Length") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *lines = head.strip().split("\r\n")
    headers = dict(one.lower().split(": ", 1) for one in lines)
    return int(line.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


@on_the_servers_loop
async def test_who_is_refused_never_reaches_the_application_and_may_ask_again() -> None:
    async with serving(2) as served:
        taken = await served.fill(2)
        reader, writer = await served.ask(body=b"x" * 300_000)
        for _ in range(2):
            status, headers, body = await answer(reader)
            assert (status, headers["retry-after"]) == (429, "1")
            assert headers["content-type"] == "application/problem+json"
            assert msgspec.json.decode(body)["status"] == 429
            assert "date" in headers
            writer.write(request(body=b"y"))
        assert served.application.calls == 2
        await answer(reader)
        served.application.may_answer.set()
        assert [(await answer(one))[0] for one, _ in taken] == [200, 200]
        writer.write(request())
        assert (await answer(reader))[0] == 200


@on_the_servers_loop
async def test_what_is_not_the_products_is_not_refused() -> None:
    async with serving(1) as served:
        await served.fill(1)
        await served.ask(path="/health/live", method="GET")
        await served.reached(2)


@on_the_servers_loop
async def test_an_answer_never_comes_before_that_of_a_request_ahead() -> None:
    async with serving(1) as served:
        ((reader, writer),) = await served.fill(1)
        writer.write(request())
        served.application.may_answer.set()
        assert [(await answer(reader))[0] for _ in range(2)] == [200, 200]


@on_the_servers_loop
async def test_a_refusal_has_no_body_where_none_may_be() -> None:
    """The application knows."""
    async with serving(1) as served:
        await served.fill(1)
        await served.ask(method="HEAD")
        await served.reached(2)


@on_the_servers_loop
async def test_who_wants_the_connection_closed_hears_the_refusal_first() -> None:
    async with serving(1) as served:
        await served.fill(1)
        reader, writer = await served.ask("Connection: close", "Content-Length: 300000", body=b"x" * 100_000)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (429, "close")
        writer.write(b"x" * 200_000)
        assert await reader.read() == b""


@on_the_servers_loop
async def test_connections_that_wait_are_accepted_together() -> None:
    """One each time round, as the event loop would, they wait long where it is busy, and nobody refuses them."""
    async with serving(1) as served:
        waiting = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(WAITING)]
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        accepted = len(served.server.server_state.connections)
        for connection in waiting:
            connection.close()
        assert accepted == WAITING


@on_the_servers_loop
async def test_what_is_under_way_is_seldom_looked_at_for_garbage() -> None:
    """The more of it there was, the longer that took, and the more there was."""
    async with serving(WAITING) as served:
        before = gc.get_stats()[0]["collections"]
        await served.fill(WAITING)
        assert gc.get_stats()[0]["collections"] - before <= 1


@on_the_servers_loop
async def test_a_batch_without_a_place_is_refused_before_its_body_comes() -> None:
    async with serving(WAITING) as served:
        with ExitStack() as places:
            for _ in range(BATCHES_MAX):
                places.enter_context(served.intake.batch_place())
            with pytest.raises(Overloaded):
                places.enter_context(served.intake.batch_place())
            reader, _ = await served.ask("Content-Length: 1000", path=f"{BATCH_PATH}?campaign_id=c")
            status, headers, _ = await answer(reader)
            assert (status, headers["retry-after"]) == (429, "1")
            await served.ask()
            await served.reached(1)
        await served.ask(path=BATCH_PATH)
        await served.reached(2)


@on_the_servers_loop
async def test_what_follows_a_refused_request_for_the_end_is_not_begun() -> None:
    async with serving(WAITING) as served:
        with ExitStack() as places:
            for _ in range(BATCHES_MAX):
                places.enter_context(served.intake.batch_place())
            reader, _ = await served.ask("Connection: close", path=BATCH_PATH, behind=request())
            assert (await answer(reader))[0] == 429
            assert await reader.read() == b""
        assert served.application.calls == 0


@on_the_servers_loop
async def test_a_long_body_is_not_taken_for_the_head_behind_it() -> None:
    async with serving(WAITING) as served:
        served.application.may_answer.set()
        long = request(body=b"x" * 100_000)
        reader, writer = await served.ask(behind=long + request()[:10])
        assert [(await answer(reader))[0] for _ in range(2)] == [200, 200]
        writer.write(request()[10:])
        assert (await answer(reader))[0] == 200


@on_the_servers_loop
async def test_who_takes_no_answer_is_not_refused_without_end() -> None:
    """Refusals would fill the memory; the application's answers wait."""
    async with serving(1) as served:
        await served.fill(1)
        await served.ask(behind=b"GET /api/ HTTP/1.1\r\n\r\n" * MANY)
        await served.reached(2)


def test_who_is_slow_to_send_a_batch_keeps_no_other_out(default_front: Front) -> None:
    slow = []
    try:
        for _ in range(BATCHES_MAX):
            slow.append(socket.create_connection(("127.0.0.1", default_front.port), timeout=30))
            slow[-1].sendall(request("Content-Length: 1000", path=BATCH_PATH) + b" ")
        assert httpx.get(f"{default_front.url}/api/v1/outreach/campaigns").status_code == 200
        assert httpx.post(default_front.url + BATCH_PATH, content=b"{}").status_code == 400
    finally:
        for connection in slow:
            connection.close()
