"""Channels that charge for failures: what a failed attempt costs, and which attempts were made at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.sent import NOW, Sent
from tests.reference_rules import DAY, HOUR

CHARGING = {"delivery": {"email": {"charge": "attempt"}}}
COSTS = {"email": "1.00", "sms": "2.00"}
ORDER = {"priority": {"email": 1, "sms": 2}}


def made(options: dict[str, Any] | None = CHARGING, **campaign: Any) -> Sent:
    """A message that may go by e-mail and then by text."""
    return Sent(channel=None, options=options, costs=COSTS, channels=ORDER, **campaign)


def money_of(sent: Sent) -> tuple[str, str, str]:
    """Committed, and spent, of the campaign; committed on e-mail."""
    status = sent.engine.status("c", sent.now)
    return status["budget"]["committed"], status["budget"]["spent"], status["by_channel"]["email"]["committed"]


def happen(sent: Sent, kind: str) -> None:
    sent.engine.events({"events": [{"id": kind, "type": kind, "message_id": sent.message_id}]}, sent.now)


@pytest.mark.parametrize(
    ("options", "committed"), [(None, ("2.00", "0.00", "0.00")), (CHARGING, ("3.00", "1.00", "1.00"))]
)
def test_what_was_made_and_failed_costs_and_the_next_attempt_on_top_of_it(
    options: dict[str, Any] | None, committed: tuple[str, str, str]
) -> None:
    sent = made(options)
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.report(claimed, "rejected")
    assert (sent.message["channel"], sent.message["cost"]) == ("sms", "2.00")
    assert money_of(sent) == committed
    assert sent.engine.status("c", sent.now)["by_channel"]["email"]["messages"] == 0
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.report(claimed, "rejected")  # texts are free where they fail
    assert sent.message["state"] == "failed"
    assert money_of(sent) == ("0.00", "0.00", "0.00") if options is None else ("1.00", "1.00", "1.00")


@pytest.mark.parametrize(("total", "state"), [("2.99", "failed"), ("3.00", "scheduled")])
def test_the_budget_must_hold_both(total: str, state: str) -> None:
    sent = made(budget={"total": total})
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.report(claimed, "rejected")
    assert sent.message["state"] == state
    sent.engine.recall(0, "c")
    assert sent.engine.ledger.spent("c")[0, 0] == (1_000_000 if state == "failed" else 3_000_000)
    assert sent.engine.ledger.audit() == []


def test_the_place_of_the_day_comes_back() -> None:
    sent = made(limits={"daily_messages": 1})
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.report(claimed, "rejected")
    assert sent.message["state"] == "scheduled"


def test_what_was_not_made_costs_nothing() -> None:
    """Neither a claim that was not started, nor bad news of what only waits, nor what is cancelled or expires."""
    sent = made()
    (claimed,) = sent.claim()
    assert sent.report(claimed, "rejected")
    assert money_of(sent) == ("2.00", "0.00", "0.00")

    sent = made()
    happen(sent, "failed")
    assert money_of(sent) == ("2.00", "0.00", "0.00")

    sent = made()
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.report(claimed, "later", later=NOW + HOUR)
    sent.engine.cancel(sent.message_id)
    assert money_of(sent) == ("0.00", "0.00", "0.00")


@pytest.mark.parametrize("kind", ["failed", "bounced"])
@pytest.mark.parametrize("said", ["accepted", "unknown", None])
def test_what_an_event_says_failed_costs_where_it_may_have_been_taken(kind: str, said: str | None) -> None:
    sent = made()
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    if said is not None:
        assert sent.report(claimed, said)
    happen(sent, kind)
    assert sent.message["channel"] == "sms"
    assert money_of(sent) == ("3.00", "1.00", "1.00")


def test_a_late_no_costs_where_the_start_was_known() -> None:
    sent = made()
    (claimed,) = sent.claim(lasts=30)
    assert sent.start(claimed)
    sent.now += 30
    sent.claim()
    assert sent.message["state"] == "unknown"
    assert sent.report(claimed, "rejected")
    assert money_of(sent) == ("3.00", "1.00", "1.00")


def test_a_charge_is_of_its_day_and_outlives_message_person_and_process() -> None:
    sent = made(budget={"daily": "5.00"})
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.report(claimed, "accepted")
    sent.now += DAY
    happen(sent, "failed")
    sent.engine.cancel(sent.message_id)
    assert sent.engine.erase("ana", sent.now)
    day = NOW // DAY
    before = sent.engine.shards[0].tally("c")
    assert before["days"][day] == (1_000_000, 0)
    assert before["days"][day + 1] == (0, 0)
    sent.crash()
    after = sent.engine.shards[0].tally("c")
    assert after["days"][day] == (1_000_000, 0)
    assert {**after, "days": None} == {**before, "days": None}
    assert money_of(sent) == ("1.00", "1.00", "1.00")
