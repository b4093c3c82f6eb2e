"""Claims, starts and reports, rule by rule."""

from __future__ import annotations

import pytest

from engine import Engine
from engine._core import CHANNELS
from engine.errors import Conflict
from tests.engine.sent import ANA, LASTS, NOBODY, NOW, Sent
from tests.reference_rules import DAY, HOUR, MINUTE, rfc

EMAIL = frozenset({"email"})


def test_what_is_due_is_claimed_once_started_and_sent() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    assert claimed._replace(message_id="") == (
        *("", 1, 0, False, 0, "email", "ana", "c", "ana@example.com"),
        *(b'{"text":"Hello"}', NOW),
    )
    assert sent.claim() == []
    assert sent.message["state"] == "claimed"
    assert sent.start(claimed)
    sent.now += 5
    assert sent.report(claimed, "accepted", provider_id="p-7")
    assert not sent.report(claimed, "accepted", provider_id="p-8")
    message = sent.message
    assert (message["state"], message["sent_at"]) == ("sent", rfc(NOW + 5))
    assert message["attempts"] == [
        {"channel": "email", "state": "sent", "at": rfc(NOW + 5), "provider_id": "p-7", "detail": None}
    ]
    sent.engine.events({"events": [{"id": "e", "type": "delivered", "message_id": sent.message_id}]}, NOW + 60)
    assert [(a["state"], a["provider_id"]) for a in sent.message["attempts"]] == [("delivered", "p-7")]


def test_a_claim_that_ends_without_a_start_is_nothing() -> None:
    sent = Sent()
    (first,) = sent.claim(lasts=30)
    sent.now += 30
    assert not sent.start(first)
    (second,) = sent.claim()
    assert (second.claim, second.attempt) == (2, 0)
    assert not sent.start(first)
    assert not sent.report(first, "accepted")
    assert sent.start(second)


@pytest.mark.parametrize("deduplicates", [NOBODY, EMAIL])
def test_what_was_started_and_not_reported_goes_again_only_where_the_provider_knows_it(
    deduplicates: frozenset[str],
) -> None:
    sent = Sent()
    (first,) = sent.claim(lasts=30)
    assert sent.start(first)
    sent.now += 30
    again = sent.claim(deduplicates=deduplicates)
    assert sent.message["attempts"][0]["detail"] == "no report came"
    if deduplicates:
        assert [(claimed.message_id, claimed.attempt) for claimed in again] == [(first.message_id, first.attempt)]
        assert not sent.report(first, "accepted")
        assert sent.report(again[0], "accepted")
    else:
        assert again == []
        assert sent.message["state"] == "unknown"
        assert sent.report(first, "accepted")  # late, and definite
    assert sent.message["state"] == "sent"
    assert len(sent.message["attempts"]) == 1


def test_what_is_reported_unknown_is_not_made_again() -> None:
    """Not even where the provider would know it again, nor after a restart."""
    sent = Sent()
    (first,) = sent.claim(lasts=30)
    assert sent.start(first)
    sent.now += 30
    (again,) = sent.claim(deduplicates=EMAIL)
    assert sent.report(again, "unknown")
    assert sent.claim(deduplicates=EMAIL) == []
    sent.crash()
    assert sent.claim(deduplicates=EMAIL) == []
    assert sent.message["state"] == "unknown"


def test_what_may_be_out_is_never_cancelled_nor_sent_elsewhere() -> None:
    """Not even where the provider would know it again."""
    sent = Sent()
    (claimed,) = sent.claim(lasts=30)
    assert sent.start(claimed)
    sent.now += 30
    person = {"contacts": {"sms": "+15550001"}}
    sent.engine.put_recipient("ana", person, sent.now)
    assert sent.claim(deduplicates=EMAIL) == []
    with pytest.raises(Conflict):
        sent.engine.cancel(sent.message_id)
    sent.now += 2 * DAY
    assert sent.claim(deduplicates=EMAIL) == []
    assert sent.message["state"] == "unknown"


def test_an_hour_may_pass_between_claim_and_start_but_no_more() -> None:
    sent = Sent()
    (claimed,) = sent.claim(lasts=2 * HOUR)
    sent.now += HOUR
    assert not sent.start(claimed)
    assert sent.message["state"] == "scheduled"


def test_an_event_may_be_faster_than_the_report() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    sent.engine.events({"events": [{"id": "e", "type": "delivered", "message_id": sent.message_id}]}, sent.now)
    sent.now += 1
    assert sent.report(claimed, "accepted", provider_id="p-7")
    message = sent.message
    assert (message["state"], message["sent_at"]) == ("delivered", rfc(NOW + 1))
    assert [(a["state"], a["provider_id"]) for a in message["attempts"]] == [("delivered", "p-7")]
    assert sent.engine.status("c", sent.now)["budget"]["spent"] == message["cost"] == "0.001"


def test_bad_news_of_an_attempt_that_failed_already_is_not_the_next_one_s() -> None:
    sent = Sent(channels={"priority": {"email": 1, "sms": 2}})
    (claimed, *_) = claims = sent.to_eva()
    assert sent.report(claimed, "rejected")
    (sms,) = (claimed for claimed in sent.claim() if claimed not in claims)
    assert sent.start(sms)
    sent.engine.events({"events": [{"id": "e", "type": "bounced", "message_id": sent.message_id}]}, sent.now)
    assert (sent.message["state"], sent.message["channel"]) == ("claimed", "sms")
    shown = sent.engine.recipient("eva", sent.now)
    assert shown is not None
    assert [stop["channel"] for stop in shown["suppressions"]] == ["email"]
    assert sent.report(sms, "accepted")


def test_without_the_ledger_what_does_not_need_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(budget={"total": "1.00"}, limits={"daily_messages": 9})
    sent.now += DAY  # the first message's place is another day's now
    sent.to_eva_for_nothing()
    with sent.without_ledger(monkeypatch):
        assert [claimed.recipient_id for claimed in sent.claim()] == ["eva"]
        assert sent.message["state"] == "scheduled"
    assert sent.claim() == []
    assert [claimed.recipient_id for claimed in sent.claim()] == ["ana"]


def test_a_start_is_state() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    before = sent.engine.state_hashes()
    assert sent.start(claimed)
    assert sent.engine.state_hashes() != before


def test_a_pause_stops_what_is_claimed_and_a_resumption_goes_on() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    sent.engine.pause("c")
    assert not sent.start(claimed)
    assert sent.claim() == []
    assert sent.message["state"] == "scheduled"
    sent.engine.resume("c")
    assert [claimed.claim for claimed in sent.claim()] == [2]


def test_who_opts_out_while_it_is_claimed_gets_nothing() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    sent.engine.put_recipient("ana", {"preferences": {"opt_out": ["email"]}}, sent.now)
    assert not sent.start(claimed)
    assert sent.message["state"] == "cancelled"
    assert sent.claim() == []


def test_who_is_erased_while_it_is_claimed_gets_nothing() -> None:
    sent = Sent()
    (claimed,) = sent.claim(lasts=30)
    assert sent.engine.erase("ana", sent.now)
    assert not sent.start(claimed)
    sent.now += 30
    assert sent.claim() == []
    assert sent.engine.status("c", sent.now)["messages"]["expired"] == 1


def test_a_late_message_goes_through_quiet_hours_again() -> None:
    """At night an e-mail may go, a text may not."""
    for channel, at in (("email", NOW + 13 * HOUR), ("sms", NOW + 23 * HOUR)):
        sent = Sent(channel=channel)
        sent.now = NOW + 13 * HOUR  # 22:00
        assert sent.claim() == []  # it is looked at again
        assert sent.message["scheduled_at"] == rfc(at)
        assert len(sent.claim()) == (channel == "email")


def test_a_late_message_that_may_not_go_any_more_expires() -> None:
    sent = Sent(limits={"daily_cap": 1})
    sent.engine.put_campaign({"id": "other", "urgency": "high", "limits": {"daily_cap": 9}})
    other = {"campaign_id": "other", "recipient": {"id": "ana"}, "channels": ["sms"]}
    assert sent.engine.send(other, NOW + HOUR)["status"] == "scheduled"
    sent.now = NOW + HOUR
    claimed = sent.claim()
    assert [c.campaign_id for c in claimed] == ["other"]
    assert sent.message["state"] == "expired"


def test_what_waits_when_its_campaign_ends_expires_and_costs_nothing() -> None:
    sent = Sent(ends_at=rfc(NOW + DAY), starts_at=rfc(NOW - DAY))
    sent.now = NOW + DAY
    assert sent.claim() == []
    assert sent.message["state"] == "expired"
    assert sent.engine.status("c", sent.now)["budget"]["committed"] == "0.00"


def test_a_rejection_takes_the_next_channel_and_gives_the_cost_back() -> None:
    sent = Sent(costs={"email": "1.00", "sms": "2.00"}, channels={"priority": {"email": 1, "sms": 2}})
    claimed, *_ = sent.to_eva()
    assert sent.report(claimed, "rejected", detail="no such mailbox")
    message = sent.message
    assert (message["state"], message["channel"], message["cost"]) == ("scheduled", "sms", "2.00")
    assert [(a["state"], a["detail"]) for a in message["attempts"]] == [("failed", "no such mailbox")]


def test_a_later_that_was_asked_for_is_kept() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    assert sent.report(claimed, "later", later=NOW + 300)
    sent.now = NOW + 299
    assert sent.claim() == []
    sent.now = NOW + 300
    assert sent.claim() == []  # it is looked at again
    assert [claimed.attempt for claimed in sent.claim()] == [0]


def test_what_is_to_be_tried_later_waits_again_when_its_claim_was_over_too() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    sent.now += LASTS
    assert sent.claim() == []
    assert sent.message["state"] == "unknown"
    assert sent.report(claimed, "later", later=sent.now + 300)
    assert (sent.message["state"], sent.message["attempts"]) == ("scheduled", [])
    hashes = sent.engine.state_hashes()
    sent.crash()
    assert sent.engine.state_hashes() == hashes
    assert not sent.report(claimed, "later", later=sent.now + 600)
    sent.now += 300
    assert sent.claim() == []  # it is looked at again
    (again,) = sent.claim()
    assert again.attempt == 0
    assert sent.start(again)


def test_but_not_where_a_claim_before_may_have_made_the_same_attempt() -> None:
    sent = Sent()
    (first,) = sent.claim()
    assert sent.start(first)
    sent.now += LASTS
    (second,) = sent.claim(deduplicates=EMAIL)
    assert not sent.report(first, "later", later=sent.now + 300)
    assert sent.start(second)
    sent.now += LASTS
    assert sent.claim() == []
    assert not sent.report(second, "later", later=sent.now + 300)
    assert sent.message["state"] == "unknown"
    assert sent.report(second, "accepted")


def test_the_room_of_a_channel_is_kept_and_those_due_first_come_first() -> None:
    engine = Engine()
    engine.put_campaign({"id": "c", "urgency": "high"})
    people = [{"id": f"p{n}", "contacts": {"email": f"p{n}@example.com"}} for n in range(5)]
    for minute, person in enumerate(people):
        engine.send({"campaign_id": "c", "recipient": person}, NOW + minute * MINUTE)
    now = NOW + 5 * MINUTE
    got = [[c.recipient_id for c in engine.claim({"email": 2}, now, now + LASTS, NOBODY)] for _ in range(4)]
    assert got == [["p0", "p1"], ["p2", "p3"], ["p4"], []]


@pytest.mark.parametrize("deduplicates", [NOBODY, EMAIL])
def test_a_dispatcher_that_begins_a_new_life_gives_up_what_its_last_one_claimed(deduplicates: frozenset[str]) -> None:
    """What was not started waits as before; what was may be out, as when the time of its claim is over."""
    sent = Sent()
    started, waiting = sorted([*sent.claim(), *sent.to_eva()], key=lambda claimed: claimed.recipient_id)
    assert sent.start(started)
    sent.engine.abandon_claims(sent.now, deduplicates)
    assert not sent.start(waiting)
    assert not sent.report(waiting, "accepted")
    again = sorted(sent.claim(deduplicates=deduplicates), key=lambda claimed: claimed.recipient_id)
    assert [(c.recipient_id, c.claim, c.attempt) for c in again] == [
        *([("ana", 2, 0)] if deduplicates else []),
        ("eva", 2, 0),
    ]
    shown = sent.engine.message(started.message_id)
    assert shown is not None
    assert (shown["state"], shown["attempts"][0]["detail"]) == (
        "claimed" if deduplicates else "unknown",
        "no report came",
    )


def test_the_oldest_that_is_due_is_known_by_channel() -> None:
    """What is claimed, over, or of a campaign that is paused does not wait; and to look is no change."""
    engine = Engine()
    engine.put_campaign({"id": "c", "urgency": "high"})
    engine.put_campaign({"id": "paused", "urgency": "high"})

    def oldest(now: int) -> tuple[int | None, ...]:
        shown = engine.oldest_due(now)
        assert {*shown} - {"email", "sms"} == {*CHANNELS} - {"email", "sms"}
        assert not any(at for channel, at in shown.items() if channel not in ("email", "sms"))
        return shown["email"], shown["sms"]

    def send(name: str, campaign_id: str, channel: str, now: int) -> str:
        person = {"id": name, "contacts": ANA["contacts"]}
        request = {"campaign_id": campaign_id, "recipient": person, "channels": [channel]}
        return str(engine.send(request, now)["message_id"])

    assert oldest(NOW) == (None, None)
    send("a", "paused", "email", NOW)
    first = send("b", "c", "email", NOW + 60)
    send("c", "c", "email", NOW + 120)
    send("d", "c", "sms", NOW + 180)
    engine.pause("paused")
    before = engine.state_hashes()
    assert oldest(NOW + 300) == (NOW + 60, NOW + 180)
    assert engine.state_hashes() == before
    engine.resume("paused")
    assert oldest(NOW + 300) == (NOW, NOW + 180)
    assert len(engine.claim({"email": 1}, NOW + 300, NOW + 400, NOBODY)) == 1
    assert oldest(NOW + 300) == (NOW + 60, NOW + 180)
    engine.cancel(first)
    assert oldest(NOW + 300) == (NOW + 120, NOW + 180)


@pytest.mark.parametrize(
    ("outcome", "state", "money"),
    [("accepted", "sent", "1.00"), ("unknown", "unknown", "1.00"), ("rejected", "failed", "0.00")],
)
def test_what_became_of_it_counts_where_the_person_was_erased_meanwhile(outcome: str, state: str, money: str) -> None:
    sent = Sent(channel=None, costs={"email": "1.00"})
    (claimed,) = sent.claim()
    assert sent.start(claimed)
    assert sent.engine.erase("ana", sent.now)
    sent.disk.write()
    assert sent.report(claimed, outcome, provider_id="ana@example.com", detail="ana@example.com")
    assert not sent.report(claimed, outcome)
    sent.crash()
    disk = sent.disk.written
    assert b"ana" not in disk._rows[disk.sequence]
    sent.now += DAY
    assert sent.claim() == []
    status = sent.engine.status("c", sent.now)
    assert {name: count for name, count in status["messages"].items() if count} == {state: 1}
    assert status["budget"]["committed"] == money


def test_what_is_put_off_for_nobody_expires() -> None:
    sent = Sent()
    (claimed,) = sent.claim()
    assert sent.engine.erase("ana", sent.now)
    assert sent.report(claimed, "later", later=sent.now + 60)
    assert sent.engine.status("c", sent.now)["messages"]["expired"] == 1


def test_tries_are_those_of_an_attempt() -> None:
    """A claim that was nothing is no try, and the next channel begins anew."""
    sent = Sent(channel=None)
    (claimed,) = sent.claim()
    assert (claimed.claim, claimed.tries) == (1, 0)
    sent.now += LASTS
    (claimed,) = sent.claim(deduplicates=EMAIL)
    assert (claimed.claim, claimed.tries) == (2, 0)
    assert sent.report(claimed, "later", later=sent.now + 1)
    sent.now += 1
    (claimed,) = sent.claim() or sent.claim()
    assert (claimed.channel, claimed.tries) == ("email", 1)
    assert sent.start(claimed)
    sent.now += LASTS
    (claimed,) = sent.claim(deduplicates=EMAIL)
    assert (claimed.channel, claimed.attempt, claimed.tries) == ("email", 0, 2)
    sent.crash()
    assert sent.report(claimed, "rejected")
    (claimed,) = sent.claim()
    assert (claimed.channel, claimed.tries) == ("sms", 0)


def test_who_opted_out_of_everything_is_never_eligible() -> None:
    sent = Sent()
    sent.engine.send({"campaign_id": "c", "recipient": {"id": "ana"}, "dedup_key": "other"}, sent.now)
    for claimed in sent.claim():
        assert sent.report(claimed, "accepted")
    for opt_out, eligible_at in ([], rfc(NOW + 4 * HOUR)), (["all"], None):
        sent.engine.put_recipient("ana", {"preferences": {"opt_out": opt_out}}, sent.now)
        shown = sent.engine.recipient("ana", sent.now)
        assert shown is not None
        assert shown["next_eligible_at"] == eligible_at
