"""The webhook adapter: what a receiver gets, what its answers mean, and where no message is ever posted to."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from actors.adapters.adapter import Accepted, Content, Delivery, Later, Outcome, Rejected, Unknown
from actors.adapters.webhook import PROVIDER_ID_MAX, WebhookAdapter, is_public
from engine.settings import Webhook
from engine.signature import check_own

SECRET = "of two"
DELIVERY = Delivery(
    message_id="m-1",
    attempt=2,
    channel="email",
    recipient_id="c-1",
    campaign_id="spring",
    address="ana@example.com",
    content=Content(subject="Spring ü", text=None, html="<p>Hello</p>"),
    data=b'{"name": "Ana", "n": 1.50}',
    scheduled_at=1_700_000_000,
    unsubscribe_url="https://out.example/u",
)


class Receiver:
    """Notes what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.Response] = lambda: web.Response(status=204)
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.port = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.read())
        return self.answer()


@asynccontextmanager
async def serving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with serving() as started:
        yield started


class Start:
    """Says what it is told, and counts."""

    def __init__(self, may: bool = True) -> None:
        self.calls = 0
        self._may = may

    async def __call__(self) -> bool:
        self.calls += 1
        return self._may


async def send(
    url: str, private_hosts: tuple[str, ...] = (), start: Start | None = None, delivery: Delivery = DELIVERY
) -> Outcome | None:
    adapter = WebhookAdapter(Webhook(url, SECRET, private_hosts), attempt_timeout_s=20, max_concurrent=4)
    try:
        return await adapter.send(delivery, start or Start())
    finally:
        await adapter.close()


async def send_to(receiver: Receiver, start: Start | None = None, delivery: Delivery = DELIVERY) -> Outcome | None:
    return await send(f"http://127.0.0.1:{receiver.port}/in?a=b", ("127.0.0.1",), start, delivery)


# ---- what is posted ---------------------------------------------------------------------------------------


async def test_a_receiver_gets_the_attempt_under_its_key_and_signed(receiver: Receiver) -> None:
    receiver.answer = lambda: web.json_response({"id": "r-7", "more": [1]}, status=201)
    start = Start()
    assert await send_to(receiver, start) == Accepted("r-7")
    assert start.calls == 1
    (headers,), (body,) = receiver.headers, receiver.bodies
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == DELIVERY.key == "m-1.2"
    timestamp = headers["X-Madan-Sara-Timestamp"]
    check_own(SECRET.encode(), headers["X-Madan-Sara-Signature"], timestamp, body, int(time.time()))
    assert msgspec.json.decode(body) == {
        "message_id": "m-1",
        "attempt": 2,
        "channel": "email",
        "recipient_id": "c-1",
        "campaign_id": "spring",
        "address": "ana@example.com",
        "content": {"subject": "Spring ü", "html": "<p>Hello</p>"},
        "data": {"name": "Ana", "n": 1.5},
        "scheduled_at": "2023-11-14T22:13:20Z",
        "unsubscribe_url": "https://out.example/u",
    }
    assert DELIVERY.data is not None
    assert DELIVERY.data in body


async def test_the_same_attempt_comes_under_the_same_key_with_the_same_body(receiver: Receiver) -> None:
    assert WebhookAdapter.deduplicates
    for attempt in (2, 2, 3):
        assert await send_to(receiver, delivery=DELIVERY._replace(attempt=attempt)) == Accepted(None)
    keys = [headers["Idempotency-Key"] for headers in receiver.headers]
    assert keys == ["m-1.2", "m-1.2", "m-1.3"]
    assert receiver.bodies[0] == receiver.bodies[1]


async def test_what_there_is_not_is_null(receiver: Receiver) -> None:
    bare = DELIVERY._replace(content=Content(), data=None, unsubscribe_url=None)
    assert await send_to(receiver, delivery=bare) == Accepted(None)
    body = msgspec.json.decode(receiver.bodies[0])
    assert (body["content"], body["data"], body["unsubscribe_url"]) == ({}, None, None)


async def test_nothing_is_posted_where_the_attempt_must_not_be_made(receiver: Receiver) -> None:
    assert await send_to(receiver, Start(may=False)) is None
    assert receiver.bodies == []


# ---- what is answered -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "provider_id"),
    [
        (b"", None),
        (b"ok", None),
        (b"\xff", None),
        (b"{}", None),
        (b'{"id": null}', None),
        (b'{"id": 5}', None),
        (b'{"id": ""}', None),
        (b'["r"]', None),
        (b'{"id": "r\\u0000\\n-1\\u202e"}', "r-1"),
        (msgspec.json.encode({"id": "x" * 5000}), "x" * PROVIDER_ID_MAX),
    ],
)
async def test_a_receiver_may_name_its_id(receiver: Receiver, said: bytes, provider_id: str | None) -> None:
    receiver.answer = lambda: web.Response(body=said)
    assert await send_to(receiver) == Accepted(provider_id)


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda: web.Response(
        status=307, headers={"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}
    )
    outcome = await send_to(receiver)
    assert isinstance(outcome, Later)
    assert "webhook.url" in outcome.detail
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize(
    ("status", "kind", "named"),
    [(401, Later, "webhook.secret"), (422, Rejected, "422"), (503, Later, "503"), (502, Unknown, "502")],
)
async def test_other_answers_mean_what_they_mean_of_any_provider(
    receiver: Receiver, status: int, kind: type[Any], named: str
) -> None:
    receiver.answer = lambda: web.Response(status=status, headers={"Retry-After": "7"}, text=DELIVERY.address)
    outcome: Any = await send_to(receiver)
    assert isinstance(outcome, kind)
    assert named in outcome.detail
    assert DELIVERY.address not in outcome.detail
    assert getattr(outcome, "after_s", None) == (7 if status == 503 else None)


# ---- where it is posted to --------------------------------------------------------------------------------

HOSTS = ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("host", HOSTS)
async def test_a_private_address_is_refused_before_anything_is_said_to_be_sent(receiver: Receiver, host: str) -> None:
    start = Start()
    outcome = await send(f"http://{host}:{receiver.port}/in", ("another.example",), start)
    assert isinstance(outcome, Later)
    assert "webhook.private_hosts" in outcome.detail
    assert start.calls == 0
    assert receiver.headers == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001"])
async def test_no_other_spelling_leads_to_a_private_address(receiver: Receiver, host: str) -> None:
    start = Start()
    outcome = await send(f"http://{host}:{receiver.port}/in", (), start)
    assert isinstance(outcome, Later)
    assert "webhook." in outcome.detail
    assert start.calls == 0
    assert receiver.headers == []


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "Localhost"])
async def test_a_host_that_is_named_may_be_private(receiver: Receiver, name: str) -> None:
    assert await send(f"http://localhost:{receiver.port}/in", (name,)) == Accepted(None)
    assert len(receiver.bodies) == 1


async def test_a_name_that_changes_its_address_leads_nowhere(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what counts is the address at the moment of connecting, however often the name was found good."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]
    other = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", receiver.port))

    async def getaddrinfo(*_: object, **__: object) -> list[Any]:
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    for addresses in ([], [other], [other, other]):
        found.extend(addresses)
        outcome = await send(f"http://sender.example:{receiver.port}/in")
        assert isinstance(outcome, Later)
        assert "webhook.private_hosts" in outcome.detail
    assert receiver.headers == []


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
        "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1",
        "2002:a00:1::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)
