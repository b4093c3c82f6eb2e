"""What an SMS costs: each segment of what a template says, from the decision to the last attempt."""

from __future__ import annotations

from typing import Any

import pytest

from engine import Engine
from engine.config import load_settings
from engine.settings import Settings
from tests.disk import Disk

SAYING: dict[str, Any] = {
    "id": "spring",
    "urgency": "high",
    "channels": {"allowed": ["email", "sms"], "priority": {"email": 1}},
    "costs": {"email": "0.001", "sms": "0.01"},
    "templates": {"sms": {"text": "{{ text }}"}},
}
ANA = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+15550100001"}, "timezone": "UTC"}
NOON = 1_800_014_400
THREE = {"text": "ú" * 135}


def send(engine: Engine, content: dict[str, Any], **options: Any) -> dict[str, Any]:
    return engine.send({"campaign_id": "spring", "recipient": ANA, "content": content} | options, NOON)


@pytest.mark.parametrize(("text", "cost"), [("a" * 160, "0.01"), ("a" * 161, "0.02"), (THREE["text"], "0.03")])
def test_an_sms_costs_its_segments(text: str, cost: str) -> None:
    engine = Engine()
    engine.put_campaign(SAYING | {"budget": {"total": cost}})
    decision = send(engine, {"text": text}, channels=["sms"], explain=True)
    assert (decision["channel"], decision["cost"]) == ("sms", cost)
    assert decision["explanation"]["channels"]["sms"]["cost"] == cost
    assert decision["explanation"]["channels"]["email"]["cost"] == "0.001"
    message = engine.message(decision["message_id"])
    assert message is not None
    assert message["cost"] == cost
    assert engine.status("spring", NOON)["budget"]["remaining"] == "0.00"
    engine.cancel(decision["message_id"])
    assert engine.status("spring", NOON)["budget"]["committed"] == "0.00"
    refused = send(engine, {"text": text + "a" * 153}, channels=["sms"], explain=True)
    assert refused["reason"] == "over_budget"
    (check,) = [check for check in refused["explanation"]["checks"] if check["step"] == "budget"]
    assert check["read"]["sms"]["fits"] == {"total": False}


def test_a_dry_run_promises_what_segments_leave() -> None:
    engine = Engine()
    engine.put_campaign(SAYING | {"budget": {"total": "0.05"}})
    people = [ANA | {"id": f"p-{number}"} for number in range(3)]
    body = {"campaign_id": "spring", "recipients": people, "channels": ["sms"], "content": {"text": "a" * 161}}
    dry = engine.send_batch(body | {"dry_run": True}, NOON)
    assert [result["cost"] for result in dry["results"]] == ["0.02", "0.02", None]
    assert engine.send_batch(body, NOON)["counts"] == dry["counts"]


def test_segments_may_make_another_channel_the_cheaper_one() -> None:
    engine = Engine(settings=_alike())
    engine.put_campaign(
        SAYING | {"channels": {"allowed": ["email", "sms"]}, "costs": {"email": "0.015", "sms": "0.01"}}
    )
    assert send(engine, {"text": "a"}, dry_run=True)["channel"] == "sms"
    assert send(engine, {"text": "a" * 161}, dry_run=True)["channel"] == "email"


def _alike() -> Settings:
    """E-mail and SMS score the same."""
    tables = ("customer_type.new", "customer_type.existing", "device.unknown", "urgency.high", "engagement.rate")
    names = [
        f"MADAN_SARA_{table.upper().replace('.', '__')}__{channel}" for table in tables for channel in ("EMAIL", "SMS")
    ]
    hours = {f"MADAN_SARA_BEST_HOURS__NEW__{channel}": "12" for channel in ("EMAIL", "SMS")}
    return load_settings(environment=dict.fromkeys(names, "0.5") | hours)


@pytest.mark.parametrize("templates", [SAYING["templates"], {}, {"sms": {"text": "short"}}])
def test_the_next_channel_costs_the_segments_that_the_request_had(templates: dict[str, Any]) -> None:
    engine = Engine()
    engine.put_campaign(SAYING)
    first = send(engine, THREE)
    assert (first["channel"], first["fallback_chain"], first["cost"]) == ("email", ["sms"], "0.001")
    engine.put_campaign(SAYING | {"templates": templates})
    engine.events({"events": [{"id": "e", "type": "failed", "message_id": first["message_id"]}]}, NOON)
    message = engine.message(first["message_id"])
    assert message is not None
    assert (message["channel"], message["state"], message["cost"]) == ("sms", "scheduled", "0.03")


def test_segments_are_written_down() -> None:
    engine = Engine()
    disk = Disk(engine, 0)
    engine.put_campaign(SAYING)
    first = send(engine, THREE)
    hashes = engine.state_hashes()
    disk.write()
    disk.crash()
    assert engine.state_hashes() == hashes
    engine.events({"events": [{"id": "e", "type": "failed", "message_id": first["message_id"]}]}, NOON)
    message = engine.message(first["message_id"])
    assert message is not None
    assert (message["channel"], message["cost"]) == ("sms", "0.03")


def test_no_sms_costs_more_than_there_can_be() -> None:
    engine = Engine()
    dearest = "999999999999.999999"
    engine.put_campaign(SAYING | {"costs": {"sms": dearest}})
    decision = send(engine, THREE, channels=["sms"], explain=True)
    assert decision["cost"] == decision["explanation"]["channels"]["sms"]["cost"] == dearest


def test_content_without_a_template_for_it_costs_one_segment() -> None:
    engine = Engine()
    for templates in ({}, {"email": {"subject": "a", "text": "b"}}):
        engine.put_campaign(SAYING | {"templates": templates, "limits": {"lookback_hours": 0}})
        assert send(engine, THREE, channels=["sms"], dry_run=True)["cost"] == "0.01"
