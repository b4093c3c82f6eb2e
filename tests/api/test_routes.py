"""What each route answers when all is well, and when what it names is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import pytest

from api.shapes import BatchAnswer, Decision, EventsAnswer, Message, RecipientView, Status
from engine._core import CHANNELS, MESSAGE_STATES, REASONS
from engine.scalars import Instant, decode_scalar
from tests.api.front import Front, problem_of

Shape = TypeVar("Shape")

CAMPAIGN: dict[str, Any] = {
    "name": "Spring",
    "timezone": "America/Port-au-Prince",
    "budget": {"total": "500", "per_channel": {"sms": "100.00"}},
    "send_window": {"start": "08:00", "end": "21:00"},
}


def put_campaign(client: httpx.Client, campaign_id: str, **changes: object) -> dict[str, Any]:
    answer = client.put(f"/campaigns/{quote(campaign_id, safe='')}", json=CAMPAIGN | changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_campaigns_round_trip(client: httpx.Client) -> None:
    put = put_campaign(client, "spring")
    assert put["budget"] == {
        "currency": "USD",
        "total": "500.00",
        "daily": None,
        "per_channel": {"sms": "100.00"},
    }
    assert put["state"] == "active"
    assert client.get("/campaigns/spring").json() == put
    assert put in client.get("/campaigns").json()["campaigns"]
    again = {name: value for name, value in put.items() if name != "state"}
    assert client.put("/campaigns/spring", json=again).json() == put


def test_campaigns_are_paused_and_resumed(client: httpx.Client) -> None:
    put_campaign(client, "pausing")
    assert client.post("/campaigns/pausing/pause").json()["state"] == "paused"
    assert client.get("/campaigns/pausing/status").json()["state"] == "paused"
    assert put_campaign(client, "pausing")["state"] == "paused"
    assert client.post("/campaigns/pausing/resume").json()["state"] == "active"


def test_status_has_every_part(client: httpx.Client) -> None:
    put_campaign(client, "counted")
    status = client.get("/campaigns/counted/status").json()
    assert status["campaign_id"] == "counted"
    assert status["messages"] == dict.fromkeys(MESSAGE_STATES, 0)
    assert status["blocked"] == dict.fromkeys(REASONS, 0)
    assert list(status["by_channel"]) == list(CHANNELS)
    assert status["budget"]["remaining"] == "500.00"
    assert status["performance"]["revenue"] == "0.00"
    assert status["send_times"]["by_local_hour"] == [0] * 24
    assert status["pacing"] == {
        "ideal": "0.00",
        "actual": "0.00",
        "ratio": None,
        "recommendation": "maintain",
        "suggested_daily_messages": 0,
        "projected_total": "0.00",
        "exhausted_at": None,
    }


@pytest.mark.parametrize("campaign_id", ["a/b", "é ñ", "100%", "a?b#c", "..x", "a" * 128])
def test_any_text_is_an_id(client: httpx.Client, campaign_id: str) -> None:
    assert put_campaign(client, campaign_id)["id"] == campaign_id
    path = f"/campaigns/{quote(campaign_id, safe='')}"
    assert client.get(path).json()["id"] == campaign_id
    assert client.get(f"{path}/status").json()["campaign_id"] == campaign_id


@pytest.mark.parametrize("step", ["%00", "%ff", "a" * 129, "%C3%A9" * 65, "%0a"])
def test_what_is_no_id_is_refused(client: httpx.Client, step: str) -> None:
    problem_of(client.get(f"/campaigns/{step}"), 400)
    problem_of(client.put(f"/recipients/{step}", json={}), 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/campaigns/nothing"),
        ("GET", "/campaigns/nothing/status"),
        ("POST", "/campaigns/nothing/pause"),
        ("POST", "/campaigns/nothing/resume"),
        ("GET", "/messages/nothing"),
        ("GET", "/messages/m-0000000000000000"),
        ("DELETE", "/messages/nothing"),
        ("DELETE", "/messages/m-0000000000000000"),
        ("GET", "/recipients/nothing"),
        ("DELETE", "/recipients/nothing"),
        ("PUT", "/recipients/r/suppressions/fax"),
        ("DELETE", "/recipients/r/suppressions/fax"),
        ("GET", "/nothing"),
        ("GET", "/../nothing"),
    ],
)
def test_what_is_not_there_is_a_404(client: httpx.Client, method: str, path: str) -> None:
    problem_of(client.request(method, path), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/campaigns/spring"),
        ("GET", "/send"),
        ("GET", "/send-batch"),
        ("PATCH", "/campaigns/spring"),
        ("PUT", "/messages/m-0000000000000000"),
        ("POST", "/recipients/r"),
        ("GET", "/events"),
    ],
)
def test_other_methods_are_a_405(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    problem_of(answer, 405)
    assert answer.headers["allow"]


def test_one_recipient_is_decided(client: httpx.Client) -> None:
    put_campaign(client, "sending")
    answer = client.post("/send", json={"campaign_id": "sending", "recipient": {"id": "no contacts"}})
    assert answer.status_code == 200
    decision = answer.json()
    assert (decision["status"], decision["reason"]) == ("blocked", "no_viable_channel")


def test_a_batch_is_decided_in_order(client: httpx.Client) -> None:
    put_campaign(client, "batching")
    recipients = [{"id": f"b-{number}"} for number in range(100)]
    answer = client.post("/send-batch", json={"campaign_id": "batching", "recipients": recipients})
    assert answer.status_code == 200
    batch = answer.json()
    assert batch["counts"] == {"scheduled": 0, "blocked": 100, "invalid": 0}
    assert batch["reasons"] == {"no_viable_channel": 100}
    assert [decision["recipient_id"] for decision in batch["results"]] == [one["id"] for one in recipients]


def test_sending_for_no_campaign_is_a_404(client: httpx.Client) -> None:
    problem_of(client.post("/send", json={"campaign_id": "none", "recipient": {"id": "r"}}), 404)
    problem_of(client.post("/send-batch", json={"campaign_id": "none", "recipients": [{"id": "r"}]}), 404)


def test_recipients_are_kept(client: httpx.Client) -> None:
    profile = {"timezone": "Asia/Kathmandu", "contacts": {"email": "ana@example.com"}}
    answer = client.put("/recipients/ana", json=profile)
    assert answer.status_code == 200
    view = answer.json()
    assert view["recipient"]["timezone"] == "Asia/Kathmandu"
    assert view["caps"]["daily"] == {"used": 0, "limit": 3}
    assert client.get("/recipients/ana").json() == view


def test_a_wrong_profile_is_a_422(client: httpx.Client) -> None:
    problem_of(client.put("/recipients/bob", json={"timezone": "Mars/Olympus"}), 422)
    problem_of(client.get("/recipients/bob"), 404)


def test_suppressions_are_set_and_lifted(client: httpx.Client) -> None:
    path = "/recipients/held/suppressions"
    assert client.put(f"{path}/sms", json={"reason": "asked"}).json() == {
        "suppressions": [{"channel": "sms", "until": None, "reason": "asked"}]
    }
    assert len(client.put(f"{path}/all").json()["suppressions"]) == 2
    assert len(client.get("/recipients/held").json()["suppressions"]) == 2
    client.delete(f"{path}/sms")
    assert client.delete(f"{path}/all").json() == {"suppressions": []}
    assert client.delete(f"{path}/all").status_code == 200


def test_events_keep_their_order(client: httpx.Client) -> None:
    unknown = {"id": "e-1", "type": "delivered", "message_id": "m-0000000000000000"}
    events = [unknown, unknown | {"id": "e-2", "type": "sneezed"}, unknown | {"id": "e-3"}]
    results = client.post("/events", json={"events": events}).json()["results"]
    assert [(result["id"], result["status"]) for result in results] == [
        ("e-1", "unknown"),
        ("e-2", "invalid"),
        ("e-3", "unknown"),
    ]
    assert results[1]["errors"][0]["path"] == "/events/1/type"
    assert client.post("/events", json={"events": []}).json() == {"results": []}


def test_operators_are_answered(client: httpx.Client) -> None:
    base = str(client.base_url).removesuffix("/api/v1/outreach/")
    assert client.get(f"{base}/health/live").json() == {"status": "ok"}
    assert client.get(f"{base}/health/ready").json() == {"status": "ok"}
    put_campaign(client, "measured-person")
    client.get("/campaigns/measured-person")
    client.post("/send", json={"campaign_id": "measured-person", "recipient": {"id": "secret-person"}})
    metrics = client.get(f"{base}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'madan_sara_decisions_total{label="no_viable_channel",status="blocked"}' in metrics.text
    assert 'path="/api/v1/outreach/campaigns/{campaign_id}"' in metrics.text
    assert "person" not in metrics.text


def test_the_manual_clock_moves_forward_only(fronts: Callable[..., Front]) -> None:
    with httpx.Client(base_url=fronts(clock="manual").url + "/api/v1", timeout=60) as client:
        client.put("/outreach/campaigns/timed", json={})
        now = Instant.read(client.get("/outreach/campaigns/timed/status").json()["as_of"])
        later = {"now": Instant(now + 60).write()}
        assert client.put("/clock", json=later).json() == later
        assert client.put("/clock", json=later).json() == later
        assert client.get("/outreach/campaigns/timed/status").json()["as_of"] == later["now"]
        problem_of(client.put("/clock", json={"now": Instant(now).write()}), 409)
        for wrong in (5, "soon", "9000-01-01T00:00:00Z"):
            assert problem_of(client.put("/clock", json={"now": wrong}), 400)["errors"][0]["path"] == "/now"


def test_the_system_clock_cannot_be_moved(client: httpx.Client) -> None:
    clock = str(client.base_url).removesuffix("outreach/") + "clock"
    problem_of(client.put(clock, json={"now": "2030-01-01T00:00:00Z"}), 404)


def shaped(answer: httpx.Response, shape: type[Shape]) -> Shape:
    """The answer as the document describes it."""
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=shape, dec_hook=decode_scalar)


def test_a_message_is_followed_to_its_conversion(client: httpx.Client) -> None:
    put_campaign(client, "followed", costs={"email": "0.25"}, conversion_value="9.5", urgency="high", send_window=None)
    recipients = [
        {"id": "f-1", "contacts": {"email": "ana@example.com"}},
        {"id": "f-1", "contacts": {"email": "ana@example.com"}},
        {"id": "f-2", "contacts": {"email": "nobody", "sms": "+50937001234"}, "device": "toaster"},
        {"id": "f-3", "contacts": {"email": "nobody"}},
    ]
    answer = client.post("/send-batch", json={"campaign_id": "followed", "recipients": recipients})
    batch = shaped(answer, BatchAnswer)
    assert [decision["errors"][0]["path"] for decision in answer.json()["results"] if "errors" in decision] == [
        "/recipients/2/device"
    ]
    assert [(one.status, one.reason) for one in batch.results] == [
        ("scheduled", None),
        ("blocked", "duplicate"),
        ("invalid", None),
        ("blocked", "no_viable_channel"),
    ]
    assert batch.results[3].warnings
    decision = batch.results[0]
    assert (decision.channel, decision.cost, decision.confidence) == ("email", 250_000, 1)
    assert decision.message_id is not None

    message = shaped(client.get(f"/messages/{decision.message_id}"), Message)
    assert (message.message_id, message.recipient_id, message.state) == (decision.message_id, "f-1", "scheduled")
    assert message.scheduled_at == decision.scheduled_at

    event = {"id": "f-e-1", "type": "converted", "message_id": decision.message_id}
    answer = client.post("/events", json={"events": [event, event, event | {"id": "f-e-2", "value": "0.5"}]})
    assert [result.status for result in shaped(answer, EventsAnswer).results] == ["applied", "seen", "applied"]

    status = shaped(client.get("/campaigns/followed/status"), Status)
    assert status.messages["delivered"] == 1
    assert status.budget.committed == 250_000
    assert status.performance.revenue == 10_000_000
    assert sum(status.send_times.by_local_hour) == 1

    view = shaped(client.get("/recipients/f-1"), RecipientView)
    assert [one.message_id for one in view.messages] == [decision.message_id]
    assert (view.caps.daily.used, view.caps.weekly.used) == (1, 1)


def test_a_message_that_waits_is_cancelled_and_its_key_is_free_again(client: httpx.Client) -> None:
    put_campaign(client, "cancelling", costs={"email": "0.25"}, urgency="high", send_window=None)
    body = {"campaign_id": "cancelling", "recipient": {"id": "k-1", "contacts": {"email": "ana@example.com"}}}
    path = f"/messages/{shaped(client.post('/send', json=body), Decision).message_id}"
    before = client.get(path).json()
    assert shaped(client.delete(path), Message).state == "cancelled"
    assert client.get(path).json() == before | {"state": "cancelled"}
    problem_of(client.delete(path), 409)
    status = shaped(client.get("/campaigns/cancelling/status"), Status)
    assert (status.messages["cancelled"], status.budget.committed) == (1, 0)
    assert shaped(client.post("/send", json=body), Decision).status == "scheduled"


def test_a_bounce_fails_the_message_and_stops_its_channel(client: httpx.Client) -> None:
    put_campaign(client, "bouncing", costs={"email": "0.25"}, urgency="high", send_window=None)
    body = {"campaign_id": "bouncing", "recipient": {"id": "b-1", "contacts": {"email": "ana@example.com"}}}
    message_id = shaped(client.post("/send", json=body), Decision).message_id
    client.post("/events", json={"events": [{"id": "b-e-1", "type": "bounced", "message_id": message_id}]})
    view = shaped(client.get("/recipients/b-1"), RecipientView)
    assert (view.messages[0].state, view.caps.daily.used) == ("failed", 0)
    assert [(one.channel, one.until, one.reason) for one in view.suppressions] == [("email", None, "bounced")]
    status = shaped(client.get("/campaigns/bouncing/status"), Status)
    assert (status.messages["failed"], status.budget.committed) == (1, 0)
    assert shaped(client.post("/send", json=body), Decision).reason == "no_viable_channel"


def test_an_erased_person_is_forgotten_and_stays_stopped(client: httpx.Client) -> None:
    put_campaign(client, "erasing", urgency="high", send_window=None)
    person = {"id": "erased-e", "contacts": {"email": "erased@example.com", "sms": "+50937001234"}}
    person["preferences"] = {"opt_out": ["sms"]}
    body = {"campaign_id": "erasing", "recipient": person}
    message_id = shaped(client.post("/send", json=body), Decision).message_id
    client.put("/recipients/erased-e/suppressions/whatsapp", json={"reason": "Erna asked"})
    answer = client.delete("/recipients/erased-e")
    assert (answer.status_code, answer.content) == (204, b"")
    for gone in (f"/messages/{message_id}", "/recipients/erased-e"):
        problem_of(client.get(gone), 404)
        problem_of(client.delete(gone), 404)
    event = {"id": "e-e", "type": "opened", "message_id": message_id}
    assert client.post("/events", json={"events": [event]}).json()["results"][0]["status"] == "unknown"
    assert shaped(client.get("/campaigns/erasing/status"), Status).messages["cancelled"] == 1
    assert "erased-e" not in client.get(str(client.base_url).removesuffix("/api/v1/outreach/") + "/metrics").text

    del person["preferences"]
    decision = shaped(client.post("/send", json=body), Decision)
    assert (decision.status, decision.channel, decision.fallback_chain) == ("scheduled", "email", [])
    view = shaped(client.get("/recipients/erased-e"), RecipientView)
    assert [(one.channel, one.reason) for one in view.suppressions] == [("whatsapp", None), ("sms", "opted out")]
    assert len(view.messages) == 1


def test_fixed_fields_of_a_campaign_with_messages_are_a_409(client: httpx.Client) -> None:
    put_campaign(client, "fixed", urgency="high")
    body = {"campaign_id": "fixed", "recipient": {"id": "x-1", "contacts": {"email": "x@example.com"}}}
    assert shaped(client.post("/send", json=body), Decision).status == "scheduled"
    problem_of(client.put("/campaigns/fixed", json=CAMPAIGN | {"timezone": "UTC"}), 409)
    assert client.get("/campaigns/fixed").json()["timezone"] == "America/Port-au-Prince"


def test_answers_are_valid_json_text(client: httpx.Client) -> None:
    answer = client.get("/campaigns")
    assert answer.headers["content-type"] == "application/json"
    json.loads(answer.content)
