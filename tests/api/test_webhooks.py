"""Webhooks coming in: what is signed is taken, what is not changes nothing, and nobody needs a key of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from api.app import create_app
from api.metrics import REQUESTS
from engine.config import load_settings
from engine.errors import ConfigurationError, Overloaded, ShardUnavailable
from engine.event import Event
from engine.provider_events import SENDGRID_EVENTS_MAX
from tests.api.front import problem_of

PREFIX = "/api/v1/outreach"
SENDGRID, TWILIO, EVENTS = (f"{PREFIX}/webhooks/{name}" for name in ("sendgrid", "twilio", "events"))
PUBLIC_URL = "https://out.example/base"
NOW = 1_700_000_000
PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY = base64.b64encode(
    PRIVATE_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
VARIABLES = {
    "api_keys": "a-key",
    "sendgrid__webhook_public_key": PUBLIC_KEY,
    "twilio__auth_token": "token",
    "webhook__secret": "secret",
    "delivery__public_url": PUBLIC_URL,
}
NEEDS = [(SENDGRID, "sendgrid__webhook_public_key"), (TWILIO, "twilio__auth_token"), (TWILIO, "delivery__public_url")]
NEEDS.append((EVENTS, "webhook__secret"))


class Client:
    """Answers without a cluster, and notes which events came."""

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.fault: Exception | None = None

    async def now(self) -> int:
        return NOW

    async def events(self, events: Sequence[Event]) -> list[dict[str, str]]:
        if self.fault is not None:
            raise self.fault
        known = {event.id for event in self.taken}
        self.taken += events
        statuses = ["unknown" if event.message_id == "m-0" else "applied" for event in events]
        return [
            {"id": event.id, "status": "seen" if event.id in known else status}
            for event, status in zip(events, statuses, strict=True)
        ]


@asynccontextmanager
async def front_of(outreach: object, **changes: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A front end of a client, with a configuration that lacks what is None."""
    variables = {name: value for name, value in (VARIABLES | changes).items() if value is not None}
    environment = {f"MADAN_SARA_{name.upper()}": value for name, value in variables.items()}
    app = create_app(outreach, load_settings(environment=environment))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://inside.example:8080") as front:
        yield front


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
async def front(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with front_of(client) as front:
        yield front


def sendgrid_request(*events: object, now: int = NOW, body: bytes | None = None) -> httpx.Request:
    content = json.dumps(events).encode() if body is None else body
    signature = PRIVATE_KEY.sign(str(now).encode() + content, ec.ECDSA(SHA256()))
    headers = {
        "Content-Type": "application/json;charset=utf-8",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": str(now),
    }
    return httpx.Request("POST", f"http://inside.example:8080{SENDGRID}", content=content, headers=headers)


def twilio_request(message_id: str = "m-1", sha256: bool = False, **form: str) -> httpx.Request:
    path = f"{TWILIO}?message_id={message_id}"
    text = PUBLIC_URL + path + "".join(name + value for name, value in sorted(form.items()))
    digest = hmac.new(b"token", text.encode(), "sha256" if sha256 else "sha1").digest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "X-Twilio-Signature": base64.b64encode(digest).decode(),
    }
    if sha256:
        headers["X-Twilio-Webhooks-Signature-Settings"] = "key=SK1,algorithm=HMAC_SHA256"
    content = urlencode(form).encode()
    return httpx.Request("POST", f"http://inside.example:8080{path}", content=content, headers=headers)


def events_request(*events: object, now: int = NOW, body: bytes | None = None) -> httpx.Request:
    content = json.dumps({"events": events}).encode() if body is None else body
    signature = hmac.new(b"secret", f"{now}.".encode() + content, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Madan-Sara-Signature": f"v1={signature}",
        "X-Madan-Sara-Timestamp": str(now),
    }
    return httpx.Request("POST", f"http://inside.example:8080{EVENTS}", content=content, headers=headers)


def of_sendgrid(number: int, event: str = "delivered", message_id: str = "m-1") -> dict[str, Any]:
    return {"event": event, "sg_event_id": f"e-{number}", "timestamp": NOW - 9, "message_id": message_id}


# ---- what is taken ----------------------------------------------------------------------------------------


async def test_sendgrids_events_are_taken_once(front: httpx.AsyncClient, client: Client) -> None:
    batch = [of_sendgrid(1), of_sendgrid(2, "bounce"), {"event": "processed"}, 3, of_sendgrid(3, message_id="m-0")]
    answer = await front.send(sendgrid_request(*batch))
    assert answer.status_code == 200
    assert answer.json() == {"applied": 2, "seen": 0, "unknown": 1, "ignored": 2}
    assert [(event.id, event.type, event.at) for event in client.taken] == [
        ("sendgrid:e-1", "delivered", NOW - 9),
        ("sendgrid:e-2", "bounced", NOW - 9),
        ("sendgrid:e-3", "delivered", NOW - 9),
    ]
    again = await front.send(sendgrid_request(of_sendgrid(1)))
    assert again.json() == {"applied": 0, "seen": 1, "unknown": 0, "ignored": 0}


@pytest.mark.parametrize("sha256", [False, True])
async def test_twilios_callbacks_are_taken_under_the_public_url(
    front: httpx.AsyncClient, client: Client, sha256: bool
) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "whatsapp:+15550001", "From": "ü & +"}
    answer = await front.send(twilio_request("m-1", sha256, **form))
    assert answer.json() == {"applied": 1, "seen": 0, "unknown": 0, "ignored": 0}
    assert [(event.id, event.type, event.message_id) for event in client.taken] == [
        ("twilio:SM1:delivered", "delivered", "m-1")
    ]
    ignored = await front.send(twilio_request("m-1", sha256, **form | {"MessageStatus": "sent"}))
    assert ignored.json()["ignored"] == 1


async def test_events_of_the_users_own_sender_are_answered_as_events_are(
    front: httpx.AsyncClient, client: Client
) -> None:
    good = {"id": "e-1", "type": "opened", "message_id": "m-1"}
    answer = await front.send(events_request(good, good | {"id": "e-2", "type": "sneezed"}, good | {"id": "e-3"}))
    results = answer.json()["results"]
    assert [(result["id"], result["status"]) for result in results] == [
        ("e-1", "applied"), ("e-2", "invalid"), ("e-3", "applied")
    ]  # fmt: skip
    assert results[1]["errors"][0]["path"] == "/events/1/type"
    assert [event.id for event in client.taken] == ["e-1", "e-3"]


async def test_a_webhook_counts_by_its_path_and_status(front: httpx.AsyncClient) -> None:
    counter = REQUESTS.labels("POST", SENDGRID, "200")
    before = counter._value.get()
    await front.send(sendgrid_request())
    assert counter._value.get() == before + 1


# ---- what is refused --------------------------------------------------------------------------------------

SIGNED = [
    sendgrid_request(of_sendgrid(1)),
    twilio_request(MessageSid="SM1", MessageStatus="delivered"),
    twilio_request(sha256=True, MessageSid="SM1", MessageStatus="delivered"),
    events_request({"id": "e", "type": "opened", "message_id": "m-1"}),
]


@pytest.mark.parametrize("request_", SIGNED, ids=lambda request: request.url.path.rpartition("/")[2])
async def test_what_is_not_signed_as_it_came_changes_nothing(
    front: httpx.AsyncClient, client: Client, request_: httpx.Request
) -> None:
    signed = {name: value for name, value in request_.headers.items() if name.startswith(("x-twilio", "x-madan"))}
    for name, value in signed.items():
        without = {key: one for key, one in request_.headers.items() if key != name}
        for wrong in ({}, *({name: one} for one in ("", "x", value[:-1], value.swapcase() + "A"))):
            problem_of(await front.post(request_.url, content=request_.content, headers=without | wrong), 401)
    for other in (request_.content.replace(b"m-1", b"m-2").replace(b"SM1", b"SM2"), request_.content + b" ", b""):
        headers = {key: one for key, one in request_.headers.items() if key != "content-length"}
        problem_of(await front.post(request_.url, content=other, headers=headers), 401)
    assert client.taken == []
    assert (await front.send(request_)).status_code == 200
    assert len(client.taken) == 1


async def test_a_message_of_another_callback_is_not_taken(front: httpx.AsyncClient, client: Client) -> None:
    request = twilio_request("m-1", MessageSid="SM1", MessageStatus="failed")
    url = str(request.url).replace("m-1", "m-2")
    problem_of(await front.post(url, content=request.content, headers=request.headers), 401)
    assert client.taken == []


@pytest.mark.parametrize("distance_s", [-301, 301, -(10**9), 10**9])
async def test_a_signature_of_another_time_changes_nothing(
    front: httpx.AsyncClient, client: Client, distance_s: int
) -> None:
    problem_of(await front.send(sendgrid_request(of_sendgrid(1), now=NOW + distance_s)), 401)
    problem_of(
        await front.send(events_request({"id": "e", "type": "opened", "message_id": "m-1"}, now=NOW + distance_s)), 401
    )
    assert client.taken == []


@pytest.mark.parametrize(("path", "key"), NEEDS)
async def test_what_is_not_configured_is_not_there(client: Client, path: str, key: str) -> None:
    async with front_of(client, **{key: None}) as front:
        for request in SIGNED:
            answer = await front.send(request)
            if request.url.path == path:
                assert key.replace("__", ".") in problem_of(answer, 404)["detail"]
            else:
                assert answer.status_code == 200


def test_a_public_key_that_is_none_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"sendgrid\.webhook_public_key"):
        load_settings(environment={"MADAN_SARA_SENDGRID__WEBHOOK_PUBLIC_KEY": "AAAA"})


async def test_a_body_is_read_only_where_it_is_of_its_kind(front: httpx.AsyncClient, client: Client) -> None:
    for request in SIGNED:
        headers = dict(request.headers) | {"content-type": "text/plain"}
        problem_of(await front.post(request.url, content=request.content, headers=headers), 415)
    for body in (b"{", b"{}", b"[[]"):
        problem_of(await front.send(sendgrid_request(body=body)), 400)
        if body != b"[[]":
            problem_of(await front.send(events_request(body=body)), 400)
    many = b"[" + b",".join([b"{}"] * (SENDGRID_EVENTS_MAX + 1)) + b"]"
    problem_of(await front.send(sendgrid_request(body=many)), 413)
    assert client.taken == []


@pytest.mark.parametrize(("fault", "status"), [(ShardUnavailable("It starts.", 7), 503), (Overloaded("Full.", 7), 429)])
async def test_who_posts_hears_when_to_post_again(
    front: httpx.AsyncClient, client: Client, fault: Exception, status: int
) -> None:
    client.fault = fault
    for request in SIGNED:
        answer = await front.send(request)
        problem_of(answer, status)
        assert answer.headers["retry-after"] == "7"


async def test_bodies_have_the_bounds_of_all_others(client: Client) -> None:
    async with front_of(client, limits__body_bytes_max="1024") as front:
        problem_of(await front.send(sendgrid_request(body=b"[" + b" " * 1024 + b"]")), 413)
        problem_of(await front.send(twilio_request(Body="x" * 1024)), 413)
        problem_of(await front.send(events_request(body=b" " * 1025)), 413)


# ---- over a cluster ---------------------------------------------------------------------------------------


async def test_what_a_provider_tells_becomes_of_the_message(outreach: AsyncOutreach, cluster: Cluster) -> None:
    now = await outreach.now()
    async with front_of(outreach, api_keys=None, clock="manual") as front:
        local = {"Host": "localhost"}
        await front.put(f"{PREFIX}/campaigns/told", json={"category": "transactional"}, headers=local)
        person = {"id": "told-1", "contacts": {"email": "told@example.com"}}
        body = {"campaign_id": "told", "recipient": person}
        sent = await front.post(f"{PREFIX}/send", json=body, headers=local)
        message_id = sent.json()["message_id"]
        told = [
            of_sendgrid(1, "delivered", message_id) | {"timestamp": now + 10**8, "sg_event_id": "told-1"},
            of_sendgrid(2, "spamreport", message_id) | {"timestamp": now, "sg_event_id": "told-2"},
        ]
        answer = await front.send(sendgrid_request(*told, now=now))
        assert answer.json() == {"applied": 2, "seen": 0, "unknown": 0, "ignored": 0}
        message = (await front.get(f"{PREFIX}/messages/{message_id}", headers=local)).json()
        assert message["state"] == "delivered"
        recipient = (await front.get(f"{PREFIX}/recipients/told-1", headers=local)).json()
        assert [(stop["channel"], stop["reason"]) for stop in recipient["suppressions"]] == [("email", "complained")]
        again = await front.send(sendgrid_request(*told, now=now))
        assert again.json() == {"applied": 0, "seen": 2, "unknown": 0, "ignored": 0}
