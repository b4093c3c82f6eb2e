"""Twilio: requests that its own file allows, and what its answers mean."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from actors.adapters.adapter import Accepted, Content, Delivery, Later, Rejected, Unknown
from actors.adapters.twilio import Twilio
from engine.config import default_settings
from engine.settings import Twilio as Settings
from tests.delivery.provider_server import Answered, Operation, ProviderServer, provider_server

NUMBER = "+33612345678"
ACCOUNT = "AC" + "0" * 32
SERVICE = "MG" + "a1" * 16
PATIENCE_S = 30.0
SMS = Delivery(
    message_id="m-1&é=+",
    attempt=0,
    channel="sms",
    recipient_id="r-1",
    campaign_id="spring",
    address=NUMBER,
    content=Content(None, "Été: 20% + 5 & \U0001f44b\n=ok"),
    data=None,
    scheduled_at=1_772_442_000,
    unsubscribe_url=None,
)
WHATSAPP = SMS._replace(channel="whatsapp")


def settings(**changes: str) -> Settings:
    usual = {
        "account_sid": ACCOUNT,
        "auth_token": "töken:1",
        "sms_sender": "+15550001",
        "whatsapp_sender": "+15550002",
        **changes,
    }
    return msgspec.structs.replace(default_settings().twilio, **usual)


async def yes() -> bool:
    return True


async def never() -> bool:
    raise AssertionError("start was asked")


@pytest.fixture(scope="module")
def operation() -> Operation:
    return Operation("twilio/twilio_api_v2010.json", "/2010-04-01/Accounts/{AccountSid}/Messages.json")


@pytest.fixture
async def server(operation: Operation) -> AsyncIterator[ProviderServer]:
    credentials = base64.b64encode(f"{ACCOUNT}:töken:1".encode()).decode()
    usual = Answered(201, operation.example(201))
    async with provider_server(operation, f"Basic {credentials}", usual) as running:
        yield running


@pytest.fixture
async def twilio(server: ProviderServer) -> AsyncIterator[Twilio]:
    adapter = Twilio(settings(base_url=server.url), "", PATIENCE_S, 8)
    yield adapter
    await adapter.close()


@pytest.mark.parametrize(
    ("delivery", "senders", "route"),
    [
        (SMS, {}, {"To": NUMBER, "From": "+15550001"}),
        (SMS, {"sms_sender": "MGShop"}, {"To": NUMBER, "From": "MGShop"}),
        (SMS, {"sms_sender": SERVICE}, {"To": NUMBER, "MessagingServiceSid": SERVICE}),
        (WHATSAPP, {}, {"To": f"whatsapp:{NUMBER}", "From": "whatsapp:+15550002"}),
        (
            WHATSAPP,
            {"whatsapp_sender": "whatsapp:+15550002"},
            {"To": f"whatsapp:{NUMBER}", "From": "whatsapp:+15550002"},
        ),
        (WHATSAPP, {"whatsapp_sender": SERVICE}, {"To": f"whatsapp:{NUMBER}", "MessagingServiceSid": SERVICE}),
    ],
)
async def test_message_goes_out_whole(
    server: ProviderServer, delivery: Delivery, senders: dict[str, str], route: dict[str, str]
) -> None:
    adapter = Twilio(settings(base_url=f"{server.url}/", **senders), "", PATIENCE_S, 1)
    assert await adapter.send(delivery, yes) == Accepted(server.operation.example(201)["sid"])
    await adapter.close()
    assert server.seen[0].fields == {**route, "Body": "Été: 20% + 5 & \U0001f44b\n=ok"}


@pytest.mark.parametrize("public_url", ["https://reach.example.com/a", "https://reach.example.com/a/"])
async def test_callback_names_the_message(server: ProviderServer, public_url: str) -> None:
    adapter = Twilio(settings(base_url=server.url), public_url, PATIENCE_S, 1)
    await adapter.send(SMS, yes)
    await adapter.close()
    callback = urlsplit(server.seen[0].fields["StatusCallback"])
    assert callback.geturl().split("?")[0] == "https://reach.example.com/a/api/v1/outreach/webhooks/twilio"
    assert parse_qs(callback.query) == {"message_id": ["m-1&é=+"]}


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (Content("Hi", None, "<p>html</p>"), "it has no text"),
        (Content(None, ""), "it has no text"),
        (Content(None, "\ud83d"), "the content has half of a surrogate pair, which is no character"),
    ],
)
async def test_message_that_cannot_be_sent_is_rejected_before_start(content: Content, detail: str) -> None:
    adapter = Twilio(settings(), "", PATIENCE_S, 1)
    assert await adapter.send(SMS._replace(content=content), never) == Rejected(detail)
    await adapter.close()


def error(code: Any, status: int = 400, headers: dict[str, str] | None = None) -> Answered:
    said = {
        "code": code,
        "message": f"The 'To' number {NUMBER} is not valid",
        "more_info": f"https://www.twilio.com/docs/errors/{code}?to={NUMBER}",
        "status": status,
    }
    return Answered(status, said, headers or {})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(21211), Rejected("Twilio error 21211: the number is not valid")),
        (error(21408), Rejected("Twilio error 21408: the account may not send to this region")),
        (error(21610), Rejected("Twilio error 21610: the person has unsubscribed from this sender")),
        (error(21610, 403), Rejected("Twilio error 21610: the person has unsubscribed from this sender")),
        (error(21614), Rejected("Twilio error 21614: the number takes no text messages")),
        (error(39999), Rejected("Twilio error 39999: see https://www.twilio.com/docs/api/errors/39999")),
        (error(33612345678), Rejected("Twilio answered 400")),
        (error(NUMBER), Rejected("Twilio answered 400")),
        (Answered(400, b"<html>"), Rejected("Twilio answered 400")),
        (error(21660), Later("Twilio error 21660: the sender is another account's; check twilio.sms_sender")),
        (error(21609), Later("Twilio error 21609: it cannot call back; check delivery.public_url")),
        (
            error(20404, 404),
            Later("Twilio error 20404: see https://www.twilio.com/docs/api/errors/20404; check twilio.base_url"),
        ),
        (Answered(404), Later("Twilio answered 404; check twilio.base_url")),
        (
            error(20003, 401),
            Later("Twilio answered 401: the credentials were refused; check twilio.account_sid and twilio.auth_token"),
        ),
        (error(20429, 429, {"Retry-After": "3"}), Later("Twilio error 20429: too many requests", 3)),
        (error(21611, 400), Later("Twilio error 21611: the sender's queue is full")),
        (Answered(429, None, {"Retry-After": "3"}), Later("Twilio answered 429: too many requests", 3)),
        (error(20500, 500), Later("Twilio answered 500: internal server error")),
        (error(20503, 503), Later("Twilio answered 503: service unavailable")),
        (error(21211, 504), Unknown("Twilio answered 504: what lies behind may have taken the message")),
        (Answered(201, b"{"), Accepted(None)),
    ],
)
async def test_answers(server: ProviderServer, twilio: Twilio, answer: Answered, outcome: Any) -> None:
    server.planned.append(answer)
    assert await twilio.send(SMS, yes) == outcome


async def test_fault_of_a_sender_names_the_channels_own(server: ProviderServer, twilio: Twilio) -> None:
    server.planned.append(error(63007))
    detail = "Twilio error 63007: the sender is on no channel; check twilio.whatsapp_sender"
    assert await twilio.send(WHATSAPP, yes) == Later(detail)


@pytest.mark.parametrize("code", [21211, 21610, 20429, 21660, 21609, 39999, 33612345678, 612345678, NUMBER, None])
async def test_no_detail_names_the_number(server: ProviderServer, twilio: Twilio, code: Any) -> None:
    for status in (201, 302, 400, 401, 403, 404, 409, 429, 500, 502, 503):
        server.planned.append(error(code, status, {"Location": f"/{NUMBER}", "Retry-After": NUMBER}))
        assert "12345678" not in repr(await twilio.send(SMS, yes))


async def test_no_more_connections_than_configured(server: ProviderServer, twilio: Twilio) -> None:
    server.barrier = asyncio.Barrier(8)
    outcomes = await asyncio.gather(*(twilio.send(SMS, yes) for _ in range(200)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert (len(server.seen), len(server.connections)) == (200, 8)


async def test_nothing_is_sent_where_start_says_no(server: ProviderServer, twilio: Twilio) -> None:
    async def no() -> bool:
        return False

    assert await twilio.send(SMS, no) is None
    assert isinstance(await twilio.send(SMS, yes), Accepted)
    assert len(server.seen) == 1
    assert not twilio.deduplicates
