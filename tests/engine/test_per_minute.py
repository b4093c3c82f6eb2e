"""`per_minute` over shards: no UTC minute holds more, every place is used, and nobody is left out."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from engine import Engine
from tests.reference_rules import HOUR, MINUTE, instant

MORNING = int(datetime.fromisoformat("2026-03-02T08:00:00Z").timestamp())
SHARDS = pytest.mark.parametrize("shards", [1, 3, 7])


def people(first: int, count: int, **fields: object) -> list[dict[str, Any]]:
    return [
        {"id": f"r-{number}", "contacts": {"email": f"r{number}@example.com"}} | fields
        for number in range(first, first + count)
    ]


def engine_with(shards: int, per_minute: int, **campaign: object) -> Engine:
    engine = Engine(shards=shards)
    engine.put_campaign({"id": "c", "urgency": "high", "limits": {"per_minute": per_minute}} | campaign)
    return engine


def send(engine: Engine, recipients: list[dict[str, Any]], now: int = MORNING, **options: object) -> list[str]:
    answer = engine.send_batch({"campaign_id": "c", "recipients": recipients} | options, now)
    assert answer["counts"]["scheduled"] == len(recipients)
    return [one["scheduled_at"] for one in answer["results"]]


def by_minute(instants: list[str]) -> Counter[int]:
    return Counter(instant(text) // MINUTE - MORNING // MINUTE for text in instants)


@SHARDS
@pytest.mark.parametrize("size", [1, 40, 500])
def test_minutes_fill_one_after_the_other_without_a_gap(shards: int, size: int) -> None:
    engine = engine_with(shards, 7)
    instants = [one for first in range(0, 500, size) for one in send(engine, people(first, min(size, 500 - first)))]
    assert by_minute(instants) == Counter(number // 7 for number in range(500))
    assert engine.ledger.audit() == []


@SHARDS
def test_the_best_hour_is_filled_to_its_last_place_before_another_one_is_used(shards: int) -> None:
    engine = engine_with(shards, 2, urgency="normal")
    minutes = by_minute(send(engine, people(0, 150)))
    assert [minutes[minute] for minute in range(60, 120)] == [2] * 60
    # All other hours are equal: the earliest, which is under way, takes the rest.
    assert sum(minutes[minute] for minute in range(60)) == 30
    assert max(minutes.values()) == 2


@SHARDS
def test_what_was_asked_for_and_does_not_fit_goes_on(shards: int) -> None:
    engine = engine_with(shards, 5)
    minutes = by_minute(send(engine, people(0, 12), send_at="2026-03-02T10:00:30Z"))
    assert minutes == {120: 5, 121: 5, 122: 2}
    transactional = engine_with(shards, 5, category="transactional")
    assert by_minute(send(transactional, people(0, 12))) == {0: 5, 1: 5, 2: 2}


def test_the_night_is_waited_for_and_the_end_of_the_period_leaves_no_minute() -> None:
    period = {"ends_at": "2026-03-03T10:02:00Z", "send_window": {"start": "10:00", "end": "10:02"}}
    engine = engine_with(1, 1, **period)
    assert send(engine, people(0, 4))[2:] == ["2026-03-03T10:00:00Z", "2026-03-03T10:01:00Z"]
    answer = engine.send({"campaign_id": "c", "recipient": people(9, 1)[0]}, MORNING)
    assert answer["reason"] == "no_send_window"


@SHARDS
def test_a_place_that_comes_back_is_taken_again(shards: int) -> None:
    engine = engine_with(shards, 3)
    answer = engine.send_batch({"campaign_id": "c", "recipients": people(0, 30)}, MORNING)
    freed = next(one for one in answer["results"] if by_minute([one["scheduled_at"]]) == {1: 1})
    engine.cancel(freed["message_id"])
    assert by_minute(send(engine, people(50, 2))) == {1: 1, 10: 1}


@SHARDS
def test_a_limit_that_comes_later_counts_what_is_there_and_a_lower_one_takes_nothing_back(shards: int) -> None:
    engine = Engine(shards=shards)
    engine.put_campaign({"id": "c", "urgency": "high"})
    assert by_minute(send(engine, people(0, 10))) == {0: 10}
    for limit, expected in ((12, {0: 2, 1: 8}), (4, {2: 4, 3: 4, 4: 2})):
        engine.put_campaign({"id": "c", "urgency": "high", "limits": {"per_minute": limit}})
        assert by_minute(send(engine, people(100 * limit, 10))) == expected
    engine.put_campaign({"id": "c", "urgency": "high"})
    assert by_minute(send(engine, people(5000, 10))) == {0: 10}
    engine.put_campaign({"id": "c", "urgency": "high", "limits": {"per_minute": 23}})
    assert by_minute(send(engine, people(6000, 18))) == {0: 1, 1: 15, 2: 2}
    assert engine.ledger.audit() == []


def questions(engine: Engine) -> int:
    return sum(shard.budget_manager.sequence for shard in engine.shards)


def test_the_ledger_is_asked_seldom_however_long_the_queue() -> None:
    """A shard that others kept busy learns of a run of full minutes at once."""
    engine = engine_with(7, 10)
    send(engine, people(0, 20_000))
    before = questions(engine)
    assert before < 50
    send(engine, people(20_000, 100))
    assert questions(engine) - before < 30


def test_a_shard_keeps_the_minutes_it_spreads_over_when_it_asks_for_another() -> None:
    engine = engine_with(4, 600, urgency="normal")
    for person in people(0, 3000):
        send(engine, [person])
    assert questions(engine) < 1000


def test_two_people_in_zones_of_odd_offsets_share_the_same_minutes() -> None:
    engine = engine_with(3, 1, urgency="normal", send_window={"start": "09:00", "end": "10:00"})
    zones = ["Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns"]
    recipients = [one | {"timezone": zones[number % 4]} for number, one in enumerate(people(0, 400))]
    minutes = by_minute(send(engine, recipients, MORNING + HOUR))
    assert max(minutes.values()) == 1
