"""The door: handlers that are called directly answer as they would behind all of Litestar."""

from __future__ import annotations

import functools
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

import api.door
from api.app import create_app
from api.door import takes_request_alone
from api.metrics import REQUESTS
from engine.config import default_settings
from engine.errors import ShardUnavailable, UnknownCampaign

PREFIX = "/api/v1/outreach"
ASKS: list[tuple[str, str, bytes | None]] = [
    ("GET", "/health/live", None),
    ("GET", "/health/ready", None),
    ("GET", "/schema/openapi.json", None),
    ("GET", PREFIX + "/campaigns", None),
    ("POST", PREFIX + "/send", b"answered"),
    ("POST", PREFIX + "/send", b"unknown"),
    ("POST", PREFIX + "/send", b"unavailable"),
    ("POST", PREFIX + "/send", b"broken"),
    ("POST", PREFIX + "/send?a=b", b"answered"),
    ("POST", PREFIX + "/send-batch", b"x" * 300_000),
    ("POST", PREFIX + "/events", b'{"events": []}'),
    ("POST", PREFIX + "/events", b"{"),
    ("HEAD", PREFIX + "/campaigns", None),
    ("OPTIONS", PREFIX + "/send", None),
    ("PUT", PREFIX + "/send", b""),
    ("GET", PREFIX + "/nothing", None),
]


class Client:
    """Answers without a cluster."""

    async def ready(self) -> dict[int, bool]:
        return {0: True, 1: False}

    async def list_campaigns(self) -> list[Any]:
        return []

    async def events(self, events: list[Any]) -> list[Any]:
        return []

    async def send_body(self, body: bytes) -> tuple[bytes, list[tuple[str, str, int]]]:
        match body:
            case b"unknown":
                raise UnknownCampaign("x")
            case b"unavailable":
                raise ShardUnavailable("It starts.", 7)
            case b"broken":
                raise KeyError("x")
        return body, [("scheduled", "email", 1)]

    async def send_batch_body(self, body: bytes, form: object) -> tuple[bytes, list[tuple[str, str, int]]]:
        return body, []


async def answer_of(app: Litestar, method: str, path: str, body: bytes | None) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, content=body)


@pytest.mark.parametrize(("method", "path", "body"), ASKS, ids=lambda value: str(value)[:30])
async def test_an_answer_is_the_one_that_litestar_would_send(
    method: str, path: str, body: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Client(), default_settings())  # type: ignore[arg-type]
    direct = await answer_of(app, method, path, body)
    monkeypatch.setattr(api.door, "takes_request_alone", lambda _: False)
    behind = await answer_of(app, method, path, body)
    assert (direct.status_code, direct.content) == (behind.status_code, behind.content)
    assert sorted(direct.headers.multi_items()) == sorted(behind.headers.multi_items())


async def test_what_is_called_directly_counts_with_its_status() -> None:
    app = create_app(Client(), default_settings())  # type: ignore[arg-type]
    counts = functools.partial(count_of, "POST", PREFIX + "/send")
    before = {status: counts(status) for status in (200, 404, 503, 500)}
    for body in (b"answered", b"answered", b"unknown", b"unavailable", b"broken"):
        await answer_of(app, "POST", PREFIX + "/send", body)
    assert {status: counts(status) - count for status, count in before.items()} == {200: 2, 404: 1, 503: 1, 500: 1}


def count_of(method: str, path_template: str, status: int) -> float:
    value: float = REQUESTS.labels(method, path_template, str(status))._value.get()
    return value


def test_nothing_of_litestars_that_the_door_leaves_out_is_asked_for() -> None:
    app = create_app(Client(), default_settings())  # type: ignore[arg-type]
    handlers = [handler for route in app.routes for handler in getattr(route, "route_handlers", [])]
    direct = [
        handler for handler in handlers if isinstance(handler, HTTPRouteHandler) and takes_request_alone(handler.fn)
    ]
    assert {"send", "send_batch", "post_events"} <= {handler.fn.__name__ for handler in direct}
    for handler in direct:
        assert not handler.resolve_guards()
        assert handler.resolve_before_request() is None
        assert handler.resolve_after_response() is None
        assert not handler.resolve_response_headers()
        assert not handler.resolve_response_cookies()
