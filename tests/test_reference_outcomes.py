"""The judge judged, continued: what becomes of messages and people, worked out by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.reference import Reference, Refused
from tests.reference_rules import DAY, HOUR, instant

DEFAULTS = tomllib.loads((Path(__file__).parents[1] / "engine" / "defaults.toml").read_text("utf-8"))
NOON = instant("2026-03-02T12:00:00Z")  # a Monday
ANA = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+50937001234"}}


def model_with(**campaign: object) -> Reference:
    model = Reference(DEFAULTS)
    model.put_campaign({"id": "c", "urgency": "high"} | campaign, NOON)
    return model


def send(model: Reference, now: int, recipient: dict | None = None, **options: object) -> dict:
    return model.send({"campaign_id": "c", "recipient": recipient or ANA} | options, now)


def happen(model: Reference, kind: str, message: str) -> None:
    model.events({"events": [{"id": f"{kind} {message}", "type": kind, "message_id": message}]}, NOON)


def test_a_failure_gives_all_back_and_a_bounce_stops_the_channel() -> None:
    model = model_with(limits={"daily_messages": 1})
    first = send(model, NOON, channels=["sms"])["message_id"]
    assert send(model, NOON, ANA | {"id": "bob"})["reason"] == "daily_limit"
    happen(model, "failed", first)
    assert model.message(first, NOON)["state"] == "failed"
    assert model.status("c", NOON)["budget"]["committed"] == "0.00"
    second = send(model, NOON, channels=["sms"])["message_id"]  # its key, its place and the gap are free
    happen(model, "delivered", second)
    happen(model, "bounced", second)
    assert model.message(second, NOON)["state"] == "delivered"  # it arrived, whatever is said later
    stop = {"channel": "sms", "until": None, "reason": "bounced"}
    assert model.recipient("ana", NOON)["suppressions"] == [stop]


def test_a_complaint_cancels_what_waits_on_its_channel() -> None:
    model = model_with()
    waiting = [send(model, NOON + 5 * HOUR * i, dedup_key=f"k{i}", channels=["email"])["message_id"] for i in range(2)]
    sms = send(model, NOON + 5 * HOUR, dedup_key="k9", channels=["sms"])["message_id"]
    happen(model, "complained", waiting[0])
    states = [model.message(message, NOON)["state"] for message in (*waiting, sms)]
    assert states == ["cancelled", "cancelled", "scheduled"]


def test_what_waits_is_cancelled_once_and_its_key_is_free() -> None:
    model = model_with()
    message = send(model, NOON)["message_id"]
    assert model.cancel(message, NOON)["state"] == "cancelled"
    assert model.status("c", NOON)["budget"]["committed"] == "0.00"
    with pytest.raises(Refused, match="409"):
        model.cancel(message, NOON)
    assert model.cancel("#7", NOON) is None
    assert send(model, NOON)["status"] == "scheduled"


def test_who_is_erased_is_new_to_caps_and_keys_but_stays_stopped() -> None:
    model = model_with(limits={"daily_cap": 1})
    first = send(model, NOON)["message_id"]
    happen(model, "delivered", first)
    waiting = send(model, NOON + 25 * HOUR, dedup_key="later")["message_id"]
    model.suppress("ana", "email", NOON + 2 * DAY, "Ana asked", NOON)
    model.suppress("ana", "twitter", NOON + DAY, None, NOON)
    model.put_recipient("ana", {"preferences": {"opt_out": ["whatsapp"]}}, NOON)
    before = model.status("c", NOON)["messages"]
    assert model.erase("ana", NOON + 25 * HOUR)
    assert not model.erase("ana", NOON + 25 * HOUR)
    assert model.recipient("ana", NOON) is model.message(first, NOON) is model.cancel(waiting, NOON) is None
    after = model.status("c", NOON)["messages"]
    assert after == before | {"scheduled": 0, "cancelled": before["cancelled"] + before["scheduled"]}
    answer = send(model, NOON + 25 * HOUR, ANA | {"preferences": {"opt_out": []}})
    assert (answer["channel"], answer["fallback_chain"]) == ("sms", [])
    assert model.recipient("ana", NOON + 25 * HOUR)["suppressions"] == [
        {"channel": "email", "until": "2026-03-04T12:00:00Z", "reason": None},
        {"channel": "whatsapp", "until": None, "reason": "opted out"},
    ]
