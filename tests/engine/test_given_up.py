"""What a provider took and was given up: it counts on, and is what the message was sent by if nothing else was."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ShardUnavailable
from tests.engine.sent import LASTS, NOBODY, NOW, ROOM, Sent
from tests.engine.silent import (
    COSTS,
    EVENING,
    ORDER,
    WITHIN,
    happen,
    money_of,
    sent_at,
    the_claim,
    the_same_again,
    used_today,
)
from tests.reference_rules import DAY, HOUR, MINUTE, rfc


def fails(sent: Sent) -> None:
    claimed = the_claim(sent)
    assert sent.start(claimed)
    assert sent.report(claimed, "rejected", detail="no")


def expires(sent: Sent) -> None:
    sent.engine.put_campaign({"id": "c", "costs": COSTS, "channels": ORDER, "ends_at": rfc(sent.now + 1)})
    sent.now += 1
    assert sent.claim() == []
    sent.engine.put_campaign({"id": "c", "costs": COSTS, "channels": ORDER})


def is_cancelled(sent: Sent) -> None:
    shown = sent.engine.cancel(sent.message_id)
    assert shown is not None
    assert shown["state"] == "sent"


def is_late_where_nothing_passes(sent: Sent) -> None:
    sent.now += 11 * HOUR
    sent.engine.put_campaign({"id": "c", "costs": COSTS, "channels": {"allowed": ["email"]}})
    assert sent.claim() == []


@pytest.mark.parametrize(
    "end",
    [
        expires,
        is_cancelled,
        is_late_where_nothing_passes,
        lambda sent: sent.engine.suppress("ana", "sms", None, None, sent.now),
        lambda sent: sent.engine.put_recipient("ana", {"preferences": {"opt_out": ["sms"]}}, sent.now),
    ],
)
def test_what_a_provider_took_is_sent_however_the_next_attempt_ends(end: Any) -> None:
    """Else the same could be sent again, and its place under the caps would be another's."""
    sent = sent_at(EVENING)
    before = sent.message
    sent.now += 2 * HOUR
    assert sent.claim() == []
    assert (sent.message["channel"], used_today(sent)) == ("sms", 2)
    end(sent)
    assert sent.message == before | {"fallback_chain": []}
    assert money_of(sent) == ("1.00", "1.00")
    assert (used_today(sent), the_same_again(sent)) == (1, "duplicate")
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes
    happen(sent, "bounced")
    assert (sent.message["state"], money_of(sent), used_today(sent)) == ("failed", ("0.00", "0.00"), 0)


def test_what_a_provider_took_is_sent_where_the_next_attempt_fails() -> None:
    sent = sent_at()
    sent.now += 2 * HOUR
    fails(sent)
    assert (sent.message["state"], sent.message["channel"], sent.message["sent_at"]) == ("sent", "email", rfc(NOW))
    assert [attempt["channel"] for attempt in sent.message["attempts"]] == ["sms", "email"]
    assert (used_today(sent), the_same_again(sent)) == (1, "duplicate")


def test_of_two_that_were_given_up_the_other_one_counts_on() -> None:
    options = {"delivery": {channel: {"success_within_hours": 2} for channel in ("email", "sms")}}
    ana = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+15550001", "whatsapp": "+15550001"}}
    sent = sent_at(options=options, person=ana)
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    assert sent.start(claimed)
    assert sent.report(claimed, "accepted")
    sent.now += 2 * HOUR
    room = {"whatsapp": 1}
    assert sent.engine.claim(room, sent.now, sent.now, NOBODY) == []
    assert (sent.message["channel"], used_today(sent)) == ("whatsapp", 3)
    happen(sent, "delivered", "email")
    shown = [(attempt["channel"], attempt["state"]) for attempt in sent.message["attempts"]]
    assert shown == [("sms", "failed"), ("email", "delivered")]
    assert (money_of(sent), used_today(sent)) == (("3.00", "3.00"), 2)
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes
    happen(sent, "failed", "sms")
    assert (money_of(sent), used_today(sent)) == (("1.00", "1.00"), 1)
    shown = [(attempt["channel"], attempt["state"], attempt["detail"]) for attempt in sent.message["attempts"]]
    assert shown == [("sms", "failed", None), ("email", "delivered", None)]


def test_what_was_given_up_counts_under_the_caps() -> None:
    """The person got it: another message a day is one more."""
    only = sent_at(limits={"daily_cap": 1})
    only.now += 2 * HOUR
    assert only.claim() == []
    assert (only.message["state"], only.message["fallback_chain"]) == ("sent", [])

    sent = sent_at(limits={"daily_cap": 2})
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    assert sent.start(claimed)
    assert sent.report(claimed, "accepted")
    sent.crash()
    sent.engine.put_campaign({"id": "other", "urgency": "high", "limits": {"daily_cap": 2}})
    other = {"campaign_id": "other", "recipient": {"id": "ana"}}
    assert sent.engine.send(other, sent.now)["reason"] == "daily_cap"
    sent.now = NOW + DAY
    assert sent.engine.send(other, sent.now)["status"] == "scheduled"


@pytest.mark.parametrize(("charge", "money"), [("success", ("2.00", "0.00")), ("attempt", ("3.00", "1.00"))])
def test_bad_news_of_what_was_given_up_gives_back_what_it_held(charge: str, money: tuple[str, str]) -> None:
    options = {"delivery": {"email": {"success_within_hours": 2, "charge": charge}}}
    sent = sent_at(EVENING, options=options, budget={"daily": "5.00"}, limits={"daily_messages": 2, "per_minute": 1})
    sent.now += 2 * HOUR
    assert sent.claim() == []
    happen(sent, "bounced", "email")
    attempt = {"channel": "email", "state": "failed", "at": rfc(sent.now), "provider_id": "p-7", "detail": "bounced"}
    assert (sent.message["state"], sent.message["channel"]) == ("scheduled", "sms")
    assert sent.message["attempts"] == [attempt]
    assert (money_of(sent), used_today(sent)) == (money, 1)
    sent.engine.recall(0, "c")
    spent = sent.engine.ledger.spent("c")
    assert (spent.get((3, EVENING // DAY), 0), spent.get((4, EVENING // MINUTE), 0)) == (0, 0)
    assert sent.engine.ledger.audit() == []
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes
    assert sent.engine.cancel(sent.message_id)
    assert sent.message["state"] == "cancelled"


def test_an_event_that_names_its_channel_is_not_taken_for_another_attempt_s() -> None:
    sent = sent_at()
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    assert sent.start(claimed)
    assert sent.report(claimed, "accepted", provider_id="p-8")
    happen(sent, "bounced", "email")
    assert (sent.message["state"], sent.message["channel"], money_of(sent)) == ("sent", "sms", ("2.00", "2.00"))
    shown = sent.engine.recipient("ana", sent.now)
    assert shown is not None
    assert [stop["channel"] for stop in shown["suppressions"]] == ["email"]
    happen(sent, "failed", "sms")
    assert (sent.message["state"], money_of(sent)) == ("failed", ("0.00", "0.00"))


def test_who_answered_stop_to_a_text_that_was_given_up_may_get_what_waits() -> None:
    """A provider says of it that it failed, and then that the channel is stopped."""
    options = {"delivery": {"email": {"success_within_hours": 2}}}
    sent = sent_at(EVENING, options=options)
    sent.now += 2 * HOUR
    assert sent.claim() == []
    happen(sent, "failed", "email")
    happen(sent, "unsubscribed", "email")
    assert (sent.message["state"], sent.message["channel"]) == ("scheduled", "sms")
    sent.now = NOW + 23 * HOUR
    assert the_claim(sent).channel == "sms"


@pytest.mark.parametrize("kind", ["complained", "unsubscribed"])
def test_after_a_complaint_about_what_is_under_way_nothing_else_is_tried(kind: str) -> None:
    sent = Sent(channel=None, options=WITHIN, costs=COSTS, channels=ORDER)
    claimed = the_claim(sent)
    assert sent.start(claimed)
    happen(sent, kind)
    assert sent.report(claimed, "accepted")
    sent.now += DAY
    assert sent.claim() == []
    assert (sent.message["state"], sent.message["channel"], sent.message["fallback_chain"]) == ("sent", "email", [])
    happen(sent, "failed", "email")
    assert sent.message["state"] == "failed"


def test_a_dry_run_that_would_drop_what_waits_drops_nothing() -> None:
    sent = sent_at(EVENING)
    sent.now += 2 * HOUR
    assert sent.claim() == []
    sent.disk.write()
    before, hashes, sequence = sent.message, sent.engine.state_hashes(), sent.disk.written.sequence
    ana = {"id": "ana", "preferences": {"opt_out": ["sms"]}}
    assert sent.engine.send({"campaign_id": "c", "recipient": ana, "dry_run": True}, sent.now)["reason"] == "duplicate"
    assert (sent.message, sent.engine.state_hashes()) == (before, hashes)
    sent.disk.write()
    assert sent.disk.written.sequence == sequence


def test_a_call_asks_the_ledger_so_often_of_silences_and_of_what_is_due_and_the_next_asks_on() -> None:
    rules = {"costs": COSTS, "channels": ORDER, "budget": {"daily": "3.00"}}
    sent = sent_at(budget={"daily": "3.00"})
    people = {name: {"id": name, "contacts": {"email": f"{name}@example.com", "sms": "+15550002"}} for name in "de"}
    for name, person in people.items():
        sent.engine.put_campaign({"id": name, "urgency": "high", **rules})
        sent.engine.send({"campaign_id": name, "recipient": person}, sent.now)
    claims = {claimed.recipient_id: claimed for claimed in sent.claim()}
    assert sent.report(claims["d"], "accepted")
    assert sent.report(claims["e"], "later", later=sent.now + DAY)
    sent.now += DAY
    (shard,) = sent.engine.shards

    claimed = [
        [found.recipient_id for found in shard.claim(ROOM, sent.now, sent.now + LASTS, NOBODY, questions_max)]
        for questions_max in (1, 0, 1)
    ]
    assert claimed == [["ana"], ["e"], ["d"]]  # of e it was asked first, too: what was put off goes with the next call


def test_bad_news_of_the_next_attempt_that_comes_twice_is_not_of_the_one_before() -> None:
    """It names no channel; what a provider took would be free to go again."""
    sent = sent_at()
    sent.now += 2 * HOUR
    fails(sent)
    happen(sent, "bounced")
    assert (sent.message["state"], sent.message["channel"], the_same_again(sent)) == ("sent", "email", "duplicate")
    shown = sent.engine.recipient("ana", sent.now)
    assert shown is not None
    assert [stop["channel"] for stop in shown["suppressions"]] == ["sms"]
    happen(sent, "bounced", "email")
    assert sent.message["state"] == "failed"


@pytest.mark.parametrize("channel", [None, "email", "sms", "instagram"])
def test_success_while_the_next_attempt_waits_is_of_what_was_given_up_whatever_it_names(channel: str | None) -> None:
    sent = sent_at(EVENING)
    sent.now += 2 * HOUR
    assert sent.claim() == []
    happen(sent, "delivered", channel)
    assert (sent.message["state"], sent.message["channel"], used_today(sent)) == ("delivered", "email", 1)
    assert money_of(sent) == ("1.00", "1.00")


def test_a_stop_holds_where_the_ledger_does_not_say_what_else_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that refuses a number says that the message failed, and then that the number is stopped."""
    sent = Sent(channel=None, costs=COSTS, channels=ORDER, budget={"daily": "3.00"})
    assert sent.report(the_claim(sent), "accepted")
    sent.engine.recall(0, "c")
    events = [{"id": kind, "type": kind, "message_id": sent.message_id} for kind in ("failed", "unsubscribed")]
    events = [event | {"channel": "email"} for event in events]
    with sent.without_ledger(monkeypatch), pytest.raises(ShardUnavailable):
        sent.engine.events({"events": events}, sent.now)
    shown = sent.engine.recipient("ana", sent.now)
    assert shown is not None
    assert [stop["channel"] for stop in shown["suppressions"]] == ["email"]
    answered = sent.engine.events({"events": events}, sent.now)["results"]
    assert [answer["status"] for answer in answered] == ["applied", "seen"]


def test_who_is_erased_while_the_next_attempt_is_claimed_had_the_one_before() -> None:
    sent = sent_at()
    sent.now += 2 * HOUR
    claimed = the_claim(sent)
    assert sent.engine.erase("ana", sent.now)
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes
    assert not sent.start(claimed)
    sent.now += LASTS
    assert sent.claim() == []
    status = sent.engine.status("c", sent.now)
    assert {state: count for state, count in status["messages"].items() if count} == {"sent": 1}
    assert money_of(sent) == ("1.00", "1.00")
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes


def test_a_stop_of_the_channel_that_was_given_up_leaves_what_waits() -> None:
    sent = sent_at(EVENING)
    sent.now += 2 * HOUR
    assert sent.claim() == []
    sent.engine.suppress("ana", "email", None, None, sent.now)
    assert (sent.message["state"], sent.message["channel"]) == ("scheduled", "sms")


def test_a_stop_about_what_failed_says_nothing_of_what_was_sent_since() -> None:
    ana = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+15550001", "whatsapp": "+15550001"}}
    sent = Sent(channel=None, costs=COSTS, channels=ORDER, person=ana)
    assert sent.report(the_claim(sent), "rejected")
    assert sent.report(the_claim(sent), "accepted")
    happen(sent, "unsubscribed", "email")
    assert (sent.message["state"], sent.message["fallback_chain"]) == ("sent", ["whatsapp"])
    happen(sent, "failed", "sms")
    assert (sent.message["state"], sent.message["channel"]) == ("scheduled", "whatsapp")
