"""Step 0: a campaign decides in its period, both ends to the second, and a pause or a stop is said first."""

from __future__ import annotations

from datetime import datetime

import pytest

from engine import Engine
from tests.reference_rules import HOUR, rfc

NOON = int(datetime.fromisoformat("2026-03-02T12:00:00Z").timestamp())
PERIOD = {"starts_at": rfc(NOON), "ends_at": rfc(NOON + HOUR)}
ANA = {"id": "ana", "contacts": {"email": "ana@example.com"}}


def outcome(engine: Engine, now: int) -> str:
    decision = engine.send({"campaign_id": "c", "recipient": ANA}, now)
    return decision["reason"] or decision["status"]


@pytest.mark.parametrize(
    ("now", "expected", "state"),
    [
        (NOON - 1, "campaign_inactive", "upcoming"),
        (NOON, "scheduled", "active"),
        (NOON + HOUR - 1, "scheduled", "active"),
        (NOON + HOUR, "campaign_inactive", "ended"),
    ],
)
def test_a_period_holds_its_first_second_and_not_its_end(now: int, expected: str, state: str) -> None:
    engine = Engine()
    engine.put_campaign({"id": "c", "urgency": "high"} | PERIOD)
    assert outcome(engine, now) == expected
    assert engine.status("c", now)["state"] == state


def test_a_pause_is_said_before_a_stop_and_a_stop_before_a_missing_address() -> None:
    engine = Engine()
    engine.put_campaign({"id": "c", "urgency": "high", "channels": {"allowed": ["sms"]}})
    assert outcome(engine, NOON) == "no_viable_channel"
    engine.suppress("ana", "all", None, None, NOON)
    assert outcome(engine, NOON) == "suppressed"
    engine.pause("c")
    assert outcome(engine, NOON) == "campaign_inactive"
