"""A failed attempt: what comes back, which channel goes next, and when no channel is left."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

import pytest

from engine import Engine
from engine.errors import ShardUnavailable
from tests.reference_rules import DAY, HOUR, rfc

NOON = int(datetime.fromisoformat("2026-03-02T12:00:00Z").timestamp())
ANA = {"email": "ana@example.com", "sms": "+50937001234", "whatsapp": "+50937001234", "twitter": "ana"}
ORDER = {"priority": {"sms": 1, "whatsapp": 2, "email": 3, "twitter": 4}}
EVENTS = count()


def engine_with(**campaign: object) -> Engine:
    engine = Engine()
    put(engine, **campaign)
    return engine


def put(engine: Engine, **campaign: object) -> None:
    engine.put_campaign({"id": "c", "urgency": "high", "channels": ORDER} | campaign)


def send(engine: Engine, person: str = "ana", now: int = NOON, **options: object) -> dict[str, Any]:
    return engine.send({"campaign_id": "c", "recipient": {"id": person, "contacts": ANA}} | options, now)


def happen(engine: Engine, message_id: str, kind: str = "failed", now: int = NOON) -> dict[str, Any]:
    event = {"id": f"e-{next(EVENTS)}", "type": kind, "message_id": message_id}
    assert engine.events({"events": [event]}, now)["results"][0]["status"] == "applied"
    return found(engine, message_id)


def found(engine: Engine, message_id: str) -> dict[str, Any]:
    message = engine.message(message_id)
    assert message is not None
    return message


def test_the_chain_is_tried_to_its_end_and_every_attempt_is_visible() -> None:
    engine = engine_with()
    decision = send(engine)
    assert (decision["channel"], decision["fallback_chain"]) == ("sms", ["whatsapp", "email"])
    message = happen(engine, decision["message_id"], now=NOON + 60)
    assert (message["state"], message["channel"], message["fallback_chain"]) == ("scheduled", "whatsapp", ["email"])
    assert (message["scheduled_at"], message["cost"]) == (rfc(NOON + 60), "0.005")
    message = happen(engine, decision["message_id"], "bounced", NOON + 90)
    assert (message["state"], message["channel"], message["fallback_chain"]) == ("scheduled", "email", [])
    message = happen(engine, decision["message_id"], now=NOON + 120)
    assert (message["state"], message["channel"], message["fallback_chain"]) == ("failed", "email", [])
    attempts = [(one["channel"], one["state"], one["at"], one["detail"]) for one in message["attempts"]]
    assert attempts == [
        ("sms", "failed", rfc(NOON + 60), None),
        ("whatsapp", "failed", rfc(NOON + 90), "bounced"),
        ("email", "failed", rfc(NOON + 120), None),
    ]
    status = engine.status("c", NOON + 120)
    assert (status["messages"]["failed"], status["budget"]["committed"]) == (1, "0.00")
    assert sum(status["send_times"]["by_local_hour"]) == 0
    assert send(engine, now=NOON + 121)["status"] == "scheduled"  # key, caps and gaps are free


def test_a_delivery_ends_the_chain() -> None:
    engine = engine_with()
    message_id = send(engine)["message_id"]
    happen(engine, message_id)
    happen(engine, message_id, "opened")
    message = happen(engine, message_id)
    assert (message["state"], message["channel"]) == ("delivered", "whatsapp")
    assert [(one["channel"], one["state"]) for one in message["attempts"]] == [
        ("sms", "failed"),
        ("whatsapp", "delivered"),
    ]


@pytest.mark.parametrize("stop", ["suppressed", "opted out", "no address", "no longer allowed", "stopped", "over"])
def test_a_channel_that_may_not_be_used_any_more_is_left_out(stop: str) -> None:
    engine = engine_with()
    message_id = send(engine, content={})["message_id"]
    match stop:
        case "suppressed":
            engine.suppress("ana", "whatsapp", None, None, NOON)
        case "opted out":
            engine.put_recipient("ana", {"preferences": {"opt_out": ["whatsapp"]}}, NOON)
        case "no address":
            engine.put_recipient("ana", {"contacts": {"sms": "+50937001234", "email": "ana@example.com"}}, NOON)
        case "no longer allowed":
            put(engine, channels={"allowed": ["sms", "email"]})
        case "stopped":
            engine.suppress("ana", "all", NOON, None, NOON)  # over already: it cancels nothing and stops nothing
            engine.suppress("ana", "whatsapp", NOON + 1, None, NOON)
        case "over":
            put(engine, ends_at=rfc(NOON))
    message = happen(engine, message_id)
    expected = ("failed", "sms") if stop == "over" else ("scheduled", "email")
    assert (message["state"], message["channel"]) == expected


def test_the_next_channel_waits_for_its_first_permitted_minute() -> None:
    night = NOON + 10 * HOUR
    engine = engine_with(channels={"priority": {"email": 1, "sms": 2}})
    message = happen(engine, send(engine, now=night)["message_id"], now=night)
    assert (message["channel"], message["scheduled_at"]) == ("sms", rfc(NOON + 20 * HOUR))


def test_the_gap_and_the_caps_hold_the_next_attempt_too() -> None:
    engine = engine_with()
    message_id = send(engine)["message_id"]
    assert send(engine, dedup_key="other", channels=["whatsapp"])["channel"] == "whatsapp"
    message = happen(engine, message_id)
    assert (message["channel"], message["fallback_chain"]) == ("email", [])
    # A full day: what failed has freed a place, and the next attempt takes it.
    full = engine_with(limits={"daily_cap": 1})
    assert happen(full, send(full)["message_id"])["state"] == "scheduled"
    # Somebody else's campaign filled the day meanwhile.
    full.put_campaign({"id": "d", "urgency": "high", "limits": {"daily_cap": 9}, "channels": {"allowed": ["twitter"]}})
    message_id = send(full, "bob")["message_id"]
    assert send(full, "bob", campaign_id="d")["status"] == "scheduled"
    assert happen(full, message_id)["state"] == "failed"


def test_a_campaign_that_defers_puts_the_next_attempt_off() -> None:
    engine = engine_with(
        on_cap="defer", channels={"priority": {"sms": 1, "whatsapp": 2}, "allowed": ["sms", "whatsapp"]}
    )
    assert send(engine, dedup_key="other", channels=["whatsapp"])["channel"] == "whatsapp"
    message = happen(engine, send(engine)["message_id"])
    assert (message["channel"], message["scheduled_at"]) == ("whatsapp", rfc(NOON + 4 * HOUR))


def test_what_failed_pays_for_what_comes_next() -> None:
    costs = {"sms": "0.03", "whatsapp": "0.04", "email": "0.02"}
    engine = engine_with(costs=costs, budget={"total": "0.03", "per_channel": {"sms": "0.03", "email": "0.02"}})
    message = happen(engine, send(engine)["message_id"])
    assert (message["channel"], message["cost"]) == ("email", "0.02")
    budget = engine.status("c", NOON)["budget"]
    assert (budget["committed"], budget["per_channel"]["sms"]["committed"]) == ("0.02", "0.00")
    assert engine.ledger.audit() == []


def test_an_overdrawn_budget_is_made_up_for_before_the_next_attempt_is_paid() -> None:
    costs = {"sms": "0.03", "whatsapp": "0.02", "email": "0.01"}
    engine = engine_with(costs=costs, budget={"total": "0.06"})
    first, _ = send(engine, "ana")["message_id"], send(engine, "bob")
    put(engine, costs=costs, budget={"total": "0.045"})
    # 0.06 of 0.045 are committed; 0.03 come back, so that 0.015 are left.
    assert happen(engine, first)["channel"] == "email"
    assert engine.status("c", NOON)["budget"]["remaining"] == "0.005"


def test_the_place_of_the_day_is_taken_anew() -> None:
    limits = {"daily_messages": 1}
    engine = engine_with(limits=limits, channels={"priority": {"email": 1, "sms": 2}, "allowed": ["email", "sms"]})
    night = NOON + 10 * HOUR
    message_id = send(engine, now=night)["message_id"]
    tomorrow = send(engine, "bob", now=night, send_at=rfc(night + DAY), channels=["email"])
    assert tomorrow["status"] == "scheduled"
    assert happen(engine, message_id, now=night)["state"] == "failed"  # sms may go tomorrow only, which is full
    engine.cancel(tomorrow["message_id"])
    again = send(engine, "eve", now=night)["message_id"]
    assert happen(engine, again, now=night)["channel"] == "sms"


def test_the_minute_that_comes_back_is_open_to_the_next_attempt() -> None:
    engine = engine_with(limits={"per_minute": 1})
    first = send(engine, "ana")["message_id"]
    assert send(engine, "bob")["scheduled_at"] == rfc(NOON + 60)
    assert happen(engine, first)["scheduled_at"] == rfc(NOON)


def test_without_the_ledger_a_failure_changes_nothing() -> None:
    engine = engine_with(costs={"sms": "0.01", "whatsapp": "0.02"}, budget={"total": "1.00"})
    message_id = send(engine)["message_id"]
    put(engine, costs={"sms": "0.01", "whatsapp": "0.02"}, budget={"total": "1.00"})  # recalls the slices
    before = engine.message(message_id), engine.status("c", NOON)
    event = {"id": "e-lost", "type": "failed", "message_id": message_id}
    grant, engine.ledger.grant = engine.ledger.grant, refuse  # type: ignore[method-assign]
    with pytest.raises(ShardUnavailable):
        engine.events({"events": [event]}, NOON)
    assert (engine.message(message_id), engine.status("c", NOON)) == before
    engine.ledger.grant = grant  # type: ignore[method-assign]
    assert engine.events({"events": [event, event]}, NOON)["results"][1]["status"] == "seen"
    assert found(engine, message_id)["channel"] == "whatsapp"


def refuse(*_: object) -> Any:
    raise ShardUnavailable("The ledger does not answer.")
