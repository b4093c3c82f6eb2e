"""SendGrid: requests that its own file allows, and what its answers mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.adapters.adapter import Accepted, Content, Delivery, Later, Rejected, Unknown
from actors.adapters.http_provider import AFTER_S_MAX
from actors.adapters.sendgrid import SendGrid
from engine.config import default_settings
from engine.errors import ConfigurationError
from engine.settings import SendGrid as Settings
from tests.delivery.provider_server import Answered, Operation, ProviderServer, provider_server

ADDRESS = "ines.roux@example.org"
PATIENCE_S = 30.0
DELIVERY = Delivery(
    message_id="m-1",
    attempt=2,
    channel="email",
    recipient_id="r-1",
    campaign_id="spring",
    address=ADDRESS,
    content=Content("Bonjour \U0001f44b", "Été — \u2028 “ok”", "<p>Été</p>"),
    data=None,
    scheduled_at=1_772_442_000,
    unsubscribe_url="https://reach.example.com/u/abc?x=1&y=2",
)


def settings(**changes: str) -> Settings:
    usual = {"api_key": "SG.secret", "sender": "Ana's shop <news@example.com>", **changes}
    return msgspec.structs.replace(default_settings().sendgrid, **usual)


async def yes() -> bool:
    return True


async def never() -> bool:
    raise AssertionError("start was asked")


@pytest.fixture(scope="module")
def operation() -> Operation:
    return Operation("sendgrid/tsg_mail_v3.json", "/v3/mail/send")


@pytest.fixture
async def server(operation: Operation) -> AsyncIterator[ProviderServer]:
    usual = Answered(202, operation.example(202), {"X-Message-Id": "f00d"})
    async with provider_server(operation, "Bearer SG.secret", usual) as running:
        yield running


@pytest.fixture
async def sendgrid(server: ProviderServer) -> AsyncIterator[SendGrid]:
    adapter = SendGrid(settings(base_url=f"{server.url}/"), PATIENCE_S, 8)
    yield adapter
    await adapter.close()


async def test_email_goes_out_whole(server: ProviderServer, sendgrid: SendGrid) -> None:
    assert await sendgrid.send(DELIVERY, yes) == Accepted("f00d")
    (seen,) = server.seen
    assert seen.headers["Accept"] == "application/json"
    assert seen.fields == {
        "personalizations": [{"to": [{"email": ADDRESS}], "custom_args": {"message_id": "m-1", "attempt": "2"}}],
        "from": {"email": "news@example.com", "name": "Ana's shop"},
        "subject": "Bonjour \U0001f44b",
        "content": [
            {"type": "text/plain", "value": "Été — \u2028 “ok”"},
            {"type": "text/html", "value": "<p>Été</p>"},
        ],
        "headers": {
            "List-Unsubscribe": "<https://reach.example.com/u/abc?x=1&y=2>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (Content("Hi", "text", None), ["text/plain"]),
        (Content("Hi", None, "<p>html</p>"), ["text/html"]),
        (Content("Hi", "", "<p>html</p>"), ["text/html"]),
    ],
)
async def test_only_what_there_is_goes_out(
    server: ProviderServer, sendgrid: SendGrid, content: Content, kinds: list[str]
) -> None:
    assert await sendgrid.send(DELIVERY._replace(content=content, unsubscribe_url=None), yes) == Accepted("f00d")
    (seen,) = server.seen
    assert [part["type"] for part in seen.fields["content"]] == kinds
    assert "headers" not in seen.fields


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (Content(None, "text"), "it has no subject, and SendGrid takes no e-mail without one"),
        (Content("", "text"), "it has no subject, and SendGrid takes no e-mail without one"),
        (Content("Hi", "", None), "it has neither text nor HTML"),
        (Content("Hi", "\ud83d"), "the content has half of a surrogate pair, which is no character"),
    ],
)
async def test_email_that_cannot_be_sent_is_rejected_before_start(content: Content, detail: str) -> None:
    adapter = SendGrid(settings(), PATIENCE_S, 1)
    assert await adapter.send(DELIVERY._replace(content=content), never) == Rejected(detail)
    await adapter.close()


@pytest.mark.parametrize(
    ("sender", "parsed"),
    [
        ("news@example.com", {"email": "news@example.com"}),
        ("<news@example.com>", {"email": "news@example.com"}),
        ('"Shop, Ana" <news@example.com>', {"email": "news@example.com", "name": "Shop, Ana"}),
        ("Épicerie <news@example.com>", {"email": "news@example.com", "name": "Épicerie"}),
    ],
)
async def test_sender_has_a_name_or_none(server: ProviderServer, sender: str, parsed: dict[str, str]) -> None:
    adapter = SendGrid(settings(base_url=server.url, sender=sender), PATIENCE_S, 1)
    assert await adapter.send(DELIVERY, yes) == Accepted("f00d")
    await adapter.close()
    assert server.seen[0].fields["from"] == parsed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sender", "Ana's shop"),
        ("sender", "Shop, Ana <news@example.com>"),
        ("sender", "a@b@c"),
        ("api_key", "SG.secret\n"),
        ("api_key", "SG é"),
    ],
)
def test_sender_or_key_that_no_request_carries_stops_the_start(key: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"sendgrid\.{key}"):
        SendGrid(settings(**{key: value}), PATIENCE_S, 1)


def faults(*fields: str | None) -> dict[str, Any]:
    return {"errors": [{"message": f"{ADDRESS} is wrong", "field": field} for field in fields]}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answered(202), Accepted(None)),
        (
            Answered(400, faults("personalizations.0.to.0.email")),
            Rejected("SendGrid answered 400 (personalizations.0.to.0.email)"),
        ),
        (
            Answered(400, faults("subject", "content.0.value", "subject", "from")),
            Rejected("SendGrid answered 400 (subject, content.0.value, from)"),
        ),
        (
            Answered(
                400, faults(None, "null", ADDRESS, f"from.{ADDRESS}", "personalizations.0.to.ines", "33612345678")
            ),
            Rejected("SendGrid answered 400"),
        ),
        (Answered(400, faults("from.email")), Later("SendGrid answered 400 (from.email); check sendgrid.sender")),
        (Answered(400, b"<html>"), Rejected("SendGrid answered 400")),
        (Answered(400, {"errors": ADDRESS}), Rejected("SendGrid answered 400")),
        (Answered(413), Rejected("SendGrid answered 413")),
        (Answered(404), Later("SendGrid answered 404; check sendgrid.base_url")),
        (
            Answered(403),
            Later("SendGrid answered 403: the credentials were refused; check sendgrid.api_key and sendgrid.sender"),
        ),
        (Answered(429, None, {"Retry-After": "30"}), Later("SendGrid answered 429: too many requests", 30)),
        (Answered(429, None, {"X-RateLimit-Reset": "1"}), Later("SendGrid answered 429: too many requests", 0)),
        (
            Answered(429, None, {"X-RateLimit-Reset": "9" * 12}),
            Later("SendGrid answered 429: too many requests", AFTER_S_MAX),
        ),
        (Answered(429, None, {"X-RateLimit-Reset": "soon"}), Later("SendGrid answered 429: too many requests")),
        (Answered(503, None, {"X-RateLimit-Reset": "1"}), Later("SendGrid answered 503: service unavailable")),
        (Answered(502), Unknown("SendGrid answered 502: what lies behind may have taken the message")),
    ],
)
async def test_answers(server: ProviderServer, sendgrid: SendGrid, answer: Answered, outcome: Any) -> None:
    server.planned.append(answer)
    assert await sendgrid.send(DELIVERY, yes) == outcome


async def test_what_the_file_shows_has_its_meaning(server: ProviderServer, sendgrid: SendGrid) -> None:
    meanings = {202: Accepted, 400: Rejected, 413: Rejected} | dict.fromkeys((401, 403, 404, 405, 500), Later)
    assert sorted(meanings) == sorted(server.operation.statuses)
    for status, meaning in meanings.items():
        server.planned.append(Answered(status, server.operation.example(status)))
        assert isinstance(await sendgrid.send(DELIVERY, yes), meaning)


async def test_limit_that_ends_soon_is_waited_for(server: ProviderServer, sendgrid: SendGrid) -> None:
    server.planned.append(Answered(429, None, {"X-RateLimit-Reset": str(int(time.time()) + 100)}))
    outcome = await sendgrid.send(DELIVERY, yes)
    assert isinstance(outcome, Later)
    assert outcome.after_s is not None
    assert 100 - PATIENCE_S < outcome.after_s <= 100


async def test_no_detail_names_the_address(server: ProviderServer, sendgrid: SendGrid) -> None:
    fields = ["personalizations.0.to.0.email", ADDRESS, f"headers.{ADDRESS}", f"content {ADDRESS}", f"from\n{ADDRESS}"]
    headers = {"Location": f"/{ADDRESS}", "Retry-After": ADDRESS, "X-RateLimit-Reset": ADDRESS}
    for status in (202, 302, 400, 401, 403, 404, 409, 413, 429, 500, 502, 503):
        server.planned.append(Answered(status, {**faults(*fields), "id": ADDRESS}, headers))
        assert ADDRESS.split("@", maxsplit=1)[0] not in repr(await sendgrid.send(DELIVERY, yes))


async def test_no_more_connections_than_configured(server: ProviderServer, sendgrid: SendGrid) -> None:
    server.barrier = asyncio.Barrier(8)
    outcomes = await asyncio.gather(*(sendgrid.send(DELIVERY, yes) for _ in range(200)))
    assert outcomes == [Accepted("f00d")] * 200
    assert (len(server.seen), len(server.connections)) == (200, 8)


async def test_nothing_is_sent_where_start_says_no(server: ProviderServer, sendgrid: SendGrid) -> None:
    async def no() -> bool:
        return False

    assert await sendgrid.send(DELIVERY, no) is None
    assert await sendgrid.send(DELIVERY, yes) == Accepted("f00d")
    assert len(server.seen) == 1
    assert not sendgrid.deduplicates
