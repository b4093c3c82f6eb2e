"""One-click unsubscribing: to look changes nothing, to post always does, and no page says anything of anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from actors.client import AsyncOutreach
from api.app import create_app
from engine.config import default_settings, load_settings
from engine.errors import ShardUnavailable
from engine.event import Event
from engine.unsubscribe import Unsubscribes
from tests.api.front import problem_of

PUBLIC_URL = "https://out.example"
PREFIX = "/api/v1/outreach"
SECRET = bytes(range(16))
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def path_of(message_id: str, secret: bytes = SECRET, channel: str = "email") -> str:
    url = Unsubscribes(secret, PUBLIC_URL).url_of(message_id, channel)
    assert url is not None
    return url.removeprefix(PUBLIC_URL)


class Client:
    """Answers without a cluster, and notes what was done."""

    def __init__(self) -> None:
        self.asked_for_secret = 0
        self.events_: list[Event] = []
        self.suppressed: list[tuple[Any, ...]] = []
        self.status = "applied"
        self.message_: dict[str, Any] | None = {"recipient_id": "c-1", "channel": "email", "state": "sent"}
        self.fault: Exception | None = None

    async def secret(self) -> bytes:
        self.asked_for_secret += 1
        return SECRET

    async def events(self, events: list[Event]) -> list[dict[str, str]]:
        if self.fault is not None:
            raise self.fault
        self.events_ += events
        return [{"id": event.id, "status": self.status} for event in events]

    async def message(self, message_id: str) -> dict[str, Any] | None:
        return self.message_

    async def suppress(self, *arguments: object) -> None:
        self.suppressed.append(arguments)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
async def front(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    """With a key that nobody here has, and under another name than loopback's."""
    settings = load_settings(environment={"MADAN_SARA_API_KEYS": "a-key"})
    transport = httpx.ASGITransport(create_app(client, settings), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as front:
        yield front


class Page(HTMLParser):
    """The tags of a page, and what its form would post."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.forms: list[dict[str, str | None]] = []
        self.fields: dict[str, str | None] = {}
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        if tag == "form":
            self.forms.append(given)
        if tag == "input" and given["name"]:
            self.fields[given["name"]] = given["value"]


async def test_to_look_changes_nothing_and_shows_a_button(front: httpx.AsyncClient, client: Client) -> None:
    page = Page(await front.get(path_of("m-1")))
    assert client.events_ == []
    assert page.forms == [{"method": "post"}]  # to where it came from
    assert page.fields == ONE_CLICK
    assert "button" in page.tags


async def test_to_post_unsubscribes(front: httpx.AsyncClient, client: Client) -> None:
    page = Page(await front.post(path_of("m-1"), data=ONE_CLICK))
    assert page.forms == []
    assert [(event.id, event.type, event.message_id, event.at) for event in client.events_] == [
        ("unsubscribe:m-1:email", "unsubscribed", "m-1", None)
    ]
    assert client.suppressed == []


@pytest.mark.parametrize("body", [{"files": {"List-Unsubscribe": (None, "One-Click")}}, {"content": b""}], ids=str)
async def test_mail_programs_may_post_in_any_form(
    front: httpx.AsyncClient, client: Client, body: dict[str, Any]
) -> None:
    Page(await front.post(path_of("m-1"), **body))
    assert len(client.events_) == 1


async def test_to_post_again_stops_what_was_lifted_since(front: httpx.AsyncClient, client: Client) -> None:
    client.status = "seen"
    Page(await front.post(path_of("m-1"), data=ONE_CLICK))
    assert client.suppressed == [("c-1", "email", None, "unsubscribed")]


@pytest.mark.parametrize("channel", ["email", "sms"])
async def test_the_channel_of_the_link_is_stopped_after_the_message_went_on_by_another_too(
    front: httpx.AsyncClient, client: Client, channel: str
) -> None:
    client.message_ = {"recipient_id": "c-1", "channel": channel, "state": "sent"}
    Page(await front.post(path_of("m-1"), data=ONE_CLICK))
    assert [(event.message_id, event.channel) for event in client.events_] == [("m-1", "email")]
    assert client.suppressed == []


@pytest.mark.parametrize("message", [None, {"recipient_id": "c-1", "channel": "email", "state": "sent"}])
async def test_nobody_is_told_to_be_unsubscribed_who_is_not(
    front: httpx.AsyncClient, client: Client, message: dict[str, Any] | None
) -> None:
    client.status, client.message_ = "unknown", message
    problem_of(await front.post(path_of("m-1"), data=ONE_CLICK), 404)
    assert client.suppressed == []


async def test_who_cannot_be_unsubscribed_now_hears_when(front: httpx.AsyncClient, client: Client) -> None:
    client.fault = ShardUnavailable("It starts.", 7)
    answer = await front.post(path_of("m-1"), data=ONE_CLICK)
    problem_of(answer, 503)
    assert answer.headers["retry-after"] == "7"


WRONG = [
    path_of("m-1", bytes(16)),
    path_of("m-1")[:-1],
    path_of("m-1") + "A",
    path_of("m-1").replace("m-1", "m-2"),
    f"{PREFIX}/unsubscribe/m-1",
    f"{PREFIX}/unsubscribe/%FF",
    f"{PREFIX}/unsubscribe/%00",
    f"{PREFIX}/unsubscribe/{'x' * 2000}",
    f"{PREFIX}/unsubscribe/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
]


@pytest.mark.parametrize("path", WRONG, ids=range(len(WRONG)))
async def test_a_wrong_link_leads_nowhere(front: httpx.AsyncClient, client: Client, path: str) -> None:
    for answer in (await front.get(path), await front.post(path, data=ONE_CLICK)):
        problem_of(answer, 404)
        assert "script" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert client.events_ == []


async def test_pages_load_nothing_and_are_kept_nowhere(front: httpx.AsyncClient) -> None:
    for answer in (await front.get(path_of("m-1")), await front.post(path_of("m-1"), data=ONE_CLICK)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert not {"script", "img", "link", "iframe"} & set(Page(answer).tags)
        assert "m-1" not in answer.text


async def test_the_secret_is_asked_for_once(front: httpx.AsyncClient, client: Client) -> None:
    for _ in range(3):
        await front.get(path_of("m-1"))
    assert client.asked_for_secret == 1


async def test_a_link_of_a_cluster_stops_its_channel(outreach: AsyncOutreach) -> None:
    app = create_app(outreach, default_settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as front:  # type: ignore[arg-type]
        await front.put(f"{PREFIX}/campaigns/unsubscribing", json={"category": "transactional"})
        contacts = {"email": "unsubscribing@example.com", "sms": "+15550001"}
        body = {"campaign_id": "unsubscribing", "recipient": {"id": "unsubscribing-1", "contacts": contacts}}
        body["channels"] = ["email"]
        message_id = (await front.post(f"{PREFIX}/send", json=body)).json()["message_id"]
        path = path_of(message_id, await outreach.secret())

        async def stops() -> list[tuple[str, str]]:
            recipient = (await front.get(f"{PREFIX}/recipients/unsubscribing-1")).json()
            return [(stop["channel"], stop["reason"]) for stop in recipient["suppressions"]]

        Page(await front.get(path))
        assert await stops() == []
        Page(await front.post(path, data=ONE_CLICK))
        assert await stops() == [("email", "unsubscribed")]
        await front.delete(f"{PREFIX}/recipients/unsubscribing-1/suppressions/email")
        assert await stops() == []
        Page(await front.post(path, data=ONE_CLICK))
        assert await stops() == [("email", "unsubscribed")]
        await front.delete(f"{PREFIX}/recipients/unsubscribing-1")
        problem_of(await front.post(path, data=ONE_CLICK), 404)
