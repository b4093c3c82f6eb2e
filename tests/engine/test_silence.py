"""What was sent and not heard of in time goes on to its next channel, and what late news does then."""

from __future__ import annotations

import pytest

from engine.config import load_settings
from tests.engine.sent import NOW, Sent
from tests.engine.silent import COSTS, EVENING, ORDER, WITHIN, happen, money_of, sent_at, the_claim
from tests.reference_rules import DAY, HOUR, MINUTE, rfc

SILENT = "no sign of success came in time"


def test_the_next_channel_goes_and_what_was_sent_is_paid() -> None:
    sent = sent_at()
    sent.now += 2 * HOUR - 1
    assert sent.claim() == []
    assert (sent.message["state"], money_of(sent)) == ("sent", ("1.00", "1.00"))
    sent.now += 1
    claimed = the_claim(sent)
    message = sent.message
    assert (claimed.channel, claimed.attempt, message["cost"], message["sent_at"]) == ("sms", 1, "2.00", None)
    assert message["attempts"] == [
        {"channel": "email", "state": "failed", "at": rfc(sent.now), "provider_id": "p-7", "detail": SILENT}
    ]
    status = sent.engine.status("c", sent.now)
    assert money_of(sent) == ("3.00", "1.00")
    assert [status["by_channel"][channel]["messages"] for channel in ("email", "sms")] == [0, 1]
    assert status["by_channel"]["email"]["committed"] == "1.00"
    assert sent.start(claimed)
    assert sent.report(claimed, "rejected")
    assert (sent.message["state"], money_of(sent)) == ("sent", ("1.00", "1.00"))


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "replied", "converted", "complained"])
def test_who_was_heard_of_in_time_gets_nothing_more(kind: str) -> None:
    sent = sent_at()
    happen(sent, kind)
    sent.now += DAY
    assert sent.claim() == []
    assert sent.message["channel"] == "email"


@pytest.mark.parametrize("kind", ["failed", "bounced"])
def test_a_definite_no_is_not_waited_for(kind: str) -> None:
    sent = sent_at()
    happen(sent, kind)
    assert money_of(sent) == ("2.00", "0.00")
    assert len(sent.claim()) == 1
    sent.now += DAY
    sent.claim()
    assert sent.message["channel"] == "sms"


def test_without_a_channel_that_passes_it_stays_sent() -> None:
    sent = Sent(options=WITHIN)
    claimed = the_claim(sent)
    assert sent.report(claimed, "accepted")
    alone = sent_at()
    alone.engine.suppress("ana", "sms", None, None, NOW)
    for one in (sent, alone):
        one.now += DAY
        assert one.claim() == []
        assert (one.message["state"], one.message["sent_at"]) == ("sent", rfc(NOW))
        assert one.message["fallback_chain"] == []
    alone.engine.lift("ana", "sms")
    assert alone.claim() == []


def test_late_news_of_success_drops_what_waits() -> None:
    sent = sent_at(EVENING, limits={"daily_cap": 2})
    before = sent.message
    sent.now += 2 * HOUR
    assert sent.claim() == []
    assert (sent.message["channel"], sent.message["scheduled_at"]) == ("sms", rfc(NOW + 23 * HOUR))
    sent.crash()
    happen(sent, "opened")
    assert sent.message == before | {
        "state": "delivered",
        "fallback_chain": [],
        "attempts": [
            {"channel": "email", "state": "delivered", "at": rfc(sent.now), "provider_id": "p-7", "detail": None}
        ],
    }
    assert money_of(sent) == ("1.00", "1.00")
    status = sent.engine.status("c", sent.now)
    assert {channel: n["delivered"] for channel, n in status["by_channel"].items() if n["messages"]} == {"email": 1}
    assert status["send_times"]["by_local_hour"][20] == 1
    shown = sent.engine.recipient("ana", sent.now)
    assert shown is not None
    assert shown["caps"]["daily"]["used"] == 1
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes
    sent.now += 2 * DAY
    assert sent.claim() == []


def test_what_is_claimed_and_not_made_is_dropped_too() -> None:
    sent = sent_at()
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    happen(sent, "delivered")
    assert (sent.message["state"], sent.message["channel"]) == ("delivered", "email")
    assert money_of(sent) == ("1.00", "1.00")
    assert not sent.start(claimed)
    assert not sent.report(claimed, "accepted")
    sent.now += DAY
    assert sent.claim() == []


def test_once_the_next_is_made_success_is_the_message_s_as_it_is() -> None:
    sent = sent_at()
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    assert sent.start(claimed)
    happen(sent, "delivered")
    assert (sent.message["state"], sent.message["channel"]) == ("delivered", "sms")
    assert money_of(sent) == ("3.00", "3.00")
    assert sent.report(claimed, "accepted")
    assert [attempt["state"] for attempt in sent.message["attempts"]] == ["failed", "delivered"]


@pytest.mark.parametrize("kind", ["complained", "unsubscribed"])
def test_a_late_complaint_drops_what_waits_and_stops_the_channel_that_it_is_about(kind: str) -> None:
    sent = sent_at(EVENING)
    sent.now += 2 * HOUR
    assert sent.claim() == []
    happen(sent, kind)
    assert (sent.message["state"], sent.message["channel"], sent.message["sent_at"]) == ("sent", "email", rfc(EVENING))
    assert sent.message["attempts"] == [
        {"channel": "email", "state": "sent", "at": rfc(EVENING), "provider_id": "p-7", "detail": None}
    ]
    assert money_of(sent) == ("1.00", "1.00")
    shown = sent.engine.recipient("ana", sent.now)
    assert shown is not None
    assert [stop["channel"] for stop in shown["suppressions"]] == ["email"]
    sent.now += DAY
    assert sent.claim() == []
    happen(sent, "opened")
    assert (sent.message["state"], len(sent.message["attempts"])) == ("delivered", 1)


def test_late_news_is_of_the_attempt_that_was_given_up_not_of_one_that_failed() -> None:
    ana = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+15550001", "whatsapp": "+15550001"}}
    sent = sent_at(NOW + 9 * HOUR + 55 * MINUTE, person=ana)
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    assert sent.start(claimed)
    sent.now += 5 * MINUTE  # 21:00
    assert sent.report(claimed, "rejected")
    assert (sent.message["state"], sent.message["channel"]) == ("scheduled", "whatsapp")
    happen(sent, "delivered")
    attempts = [(one["channel"], one["state"], one["provider_id"]) for one in sent.message["attempts"]]
    assert (sent.message["channel"], attempts) == ("email", [("sms", "failed", None), ("email", "delivered", "p-7")])
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes


def test_what_was_given_up_keeps_its_places() -> None:
    """A provider took it: it counts in its day and its minute, in the next life, too."""
    full = sent_at(limits={"daily_messages": 1})
    full.now += 2 * HOUR
    assert full.claim() == []
    assert full.message["state"] == "sent"

    sent = sent_at(limits={"daily_messages": 2})
    sent.now += 2 * HOUR
    assert len(sent.claim()) == 1
    body = {"id": "c", "costs": COSTS, "channels": ORDER, "limits": {"daily_messages": 2, "per_minute": 1}}
    sent.engine.put_campaign(body)
    for _ in range(2):
        sent.engine.recall(0, "c")
        spent = sent.engine.ledger.spent("c")
        assert (spent[0, 0], spent[3, NOW // DAY]) == (3_000_000, 2)
        assert [spent[4, at // MINUTE] for at in (NOW, NOW + 2 * HOUR)] == [1, 1]
        assert sent.engine.ledger.audit() == []
        sent.crash()
    sent.engine.abandon_claims(sent.now, frozenset())
    sent.engine.cancel(sent.message_id)
    sent.engine.recall(0, "c")
    spent = sent.engine.ledger.spent("c")
    assert (spent[0, 0], spent[3, NOW // DAY]) == (1_000_000, 1)


def test_the_limit_is_that_of_the_configuration_it_was_sent_under() -> None:
    for options, other, channel in ((WITHIN, {}, "sms"), ({}, WITHIN, "email")):
        sent = sent_at(options=options)
        sent.engine.settings = load_settings(environment={}, options=other)
        sent.crash()
        sent.now += DAY
        sent.claim()
        assert sent.message["channel"] == channel


def test_the_shortest_limit_is_a_second() -> None:
    sent = sent_at(options={"delivery": {"email": {"success_within_hours": 0.0001}}})
    assert sent.claim() == []
    sent.now += 1
    assert [claimed.channel for claimed in sent.claim()] == ["sms"]


def test_without_the_ledger_what_was_not_heard_of_stays_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = sent_at(budget={"daily": "3.00"})
    sent.now += DAY
    sent.to_eva_for_nothing()
    with sent.without_ledger(monkeypatch):
        assert [claimed.recipient_id for claimed in sent.claim()] == ["eva"]
        assert sent.message["state"] == "sent"
    assert [claimed.recipient_id for claimed in sent.claim()] == ["ana"]


def test_who_was_erased_meanwhile_gets_nothing_more() -> None:
    sent = sent_at()
    assert sent.engine.erase("ana", sent.now)
    sent.now += DAY
    assert sent.claim() == []
    assert sent.engine.status("c", sent.now)["messages"]["sent"] == 1
    assert money_of(sent) == ("1.00", "1.00")
