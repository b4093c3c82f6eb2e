"""Caps, gaps and `next_eligible_at` to the second, against a search; and places that come free in the same second.

The search shares nothing with the core or the model: it looks at every second near the ends of spans and at every
minute elsewhere, and counts what each span would hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import Engine
from engine._core import CHANNELS
from tests.reference_rules import DAY, HOUR, MINUTE, WEEK, instant
from tests.strategies import STARTS, ZONES, Dice, rfc3339, some

GAP = 4 * HOUR
REACH = 14 * DAY
AWAKE = {"quiet_hours": {"start": "00:00", "end": "00:00"}}
EVERYWHERE = dict.fromkeys(CHANNELS[3:], "ana") | {
    "email": "ana@example.com",
    "sms": "+1555010",
    "whatsapp": "+1555010",
}
Counted = list[tuple[int, str]]


# ---- the search -------------------------------------------------------------------------------------------


def exceeds(instants: NDArray[np.int64], moments: NDArray[np.int64], cap: int, span: int) -> NDArray[np.bool_]:
    """Whether one more message at each moment makes more than `cap` in some span; it may begin at any of them."""
    too_many = ((moments <= instants[:, None]) & (instants[:, None] < moments + span)).sum(axis=0) + 1 > cap
    for start in instants:
        held = np.sum((start <= instants) & (instants < start + span))
        too_many |= (start <= moments) & (moments < start + span) & (held + 1 > cap)
    return too_many


def refused(counted: Counted, channel: str, caps: tuple[int, int], moments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which moments caps or gap refuse to a message on a channel."""
    instants = np.array([at for at, _ in counted], np.int64)
    there = exceeds(instants, moments, caps[0], DAY) | exceeds(instants, moments, caps[1], WEEK)
    for at, used in counted:
        if used == channel:
            there |= np.abs(moments - at) < GAP
    return there


def moments_from(counted: Counted, now: int) -> NDArray[np.int64]:
    """Every second near the ends of all spans and gaps, every minute elsewhere, in [now, now + 14 days]."""
    ends = [at + sign * span for at, _ in counted for span in (0, GAP, DAY, WEEK) for sign in (-1, 1)]
    seconds = [end + step for end in (*ends, now, now + REACH) for step in range(-90, 91)]
    moments = np.unique(np.concatenate([np.array(seconds), np.arange(now, now + REACH + 1, MINUTE)]))
    return moments[(now <= moments) & (moments <= now + REACH)]


def first_free(counted: Counted, channels: list[str], caps: tuple[int, int], now: int) -> int | None:
    moments = moments_from(counted, now)
    free = ~np.all([refused(counted, channel, caps, moments) for channel in channels], axis=0)
    return int(moments[np.argmax(free)]) if free.any() else None


# ---- histories --------------------------------------------------------------------------------------------


def lived(engine: Engine, dice: Dice, now: int, zone: str) -> Counted:
    """A recipient with messages before and after `now`, some of them transactional; the counted ones."""
    limits = {"limits": {"daily_cap": 50, "weekly_cap": 50, "lookback_hours": 0}}
    engine.put_campaign({"id": "past"} | limits)
    engine.put_campaign({"id": "care", "category": "transactional"} | limits)
    recipient = {"id": "c-1", "timezone": zone, "contacts": EVERYWHERE, "preferences": AWAKE}
    counted = []
    begin = now - dice.pick((HOUR, DAY, 6 * DAY))
    for at in sorted(begin + dice.integer(0, dice.pick((DAY, 9 * DAY))) for _ in range(dice.integer(1, 9))):
        campaign_id = "care" if dice.chance(20) else "past"
        body = {
            "campaign_id": campaign_id,
            "recipient": recipient,
            "channels": [dice.pick(("sms", "email", *CHANNELS))],
        }
        decision = engine.send(body | {"send_at": rfc3339(at)}, min(at, now))
        if decision["status"] == "scheduled" and campaign_id == "past":
            counted.append((instant(decision["scheduled_at"]), decision["channel"]))
    return counted


@pytest.mark.parametrize("seed", range(60))
def test_next_eligible_at_is_the_first_second_that_a_search_finds(seed: int) -> None:
    dice, engine = Dice(seed), Engine()
    now, zone = dice.pick(STARTS) + dice.integer(0, 2 * DAY), dice.pick(ZONES)
    counted = lived(engine, dice, now, zone)
    for _ in range(8):
        caps = (dice.integer(0, 3), dice.integer(1, 5))
        channels = some(dice, CHANNELS, 40) or ["sms"]
        campaign: dict = {"id": "next", "urgency": "high"}
        campaign["limits"] = {"daily_cap": caps[0], "weekly_cap": caps[1], "lookback_hours": 0}
        engine.put_campaign(campaign)
        body = {"campaign_id": "next", "recipient": {"id": "c-1"}, "channels": channels, "dedup_key": f"{now}"}
        decision = engine.send(body, now)
        expected = first_free(counted, channels, caps, now)
        if decision["status"] == "scheduled":
            assert (expected, decision["scheduled_at"]) == (now, rfc3339(now))
            assert not refused(counted, decision["channel"], caps, np.array([now])).any()
            counted.append((now, decision["channel"]))
        else:
            assert decision["reason"] in ("daily_cap", "weekly_cap", "channel_gap"), decision
            assert decision["next_eligible_at"] == (None if expected is None else rfc3339(expected))
            assert expected != now
        shown = engine.recipient("c-1", now)
        assert shown is not None
        default = first_free(counted, list(CHANNELS), (3, 10), now)
        assert shown["next_eligible_at"] == (None if default in (None, now) else rfc3339(default))
        now += dice.pick((0, 1, MINUTE, HOUR, GAP, DAY)) if expected is None else dice.pick((0, expected - now, HOUR))


def test_the_search_itself() -> None:
    counted = [(0, "sms"), (10 * HOUR, "email")]
    assert first_free(counted, ["twitter"], (2, 9), 11 * HOUR) == DAY
    assert first_free(counted, ["twitter"], (1, 9), 11 * HOUR) == 34 * HOUR
    assert first_free(counted, ["twitter"], (2, 2), 11 * HOUR) == WEEK
    assert first_free(counted, ["sms"], (3, 9), 1) == 4 * HOUR
    assert first_free(counted, ["sms"], (0, 9), 1) is None


# ---- what comes free --------------------------------------------------------------------------------------

NOW = instant("2026-03-29T00:59:59Z")  # clocks change in the next second
CHANNEL, COST = "sms", "0.0075"
BLOCKS: dict[str, dict] = {
    "daily_cap": {"limits": {"daily_cap": 1}},
    "weekly_cap": {"limits": {"weekly_cap": 1}},
    "channel_gap": {},
    "duplicate": {"dedup_key": "always"},
    "over_budget": {"budget": {"total": COST}},
    "over_budget of the day": {"budget": {"daily": COST}},
    "over_budget of the channel": {"budget": {"per_channel": {CHANNEL: COST}}},
    "daily_limit": {"limits": {"daily_messages": 1}},
}


def cancel(engine: Engine, message_id: str) -> None:
    engine.cancel(message_id)


def fail(engine: Engine, message_id: str) -> None:
    event = {"id": "e-1", "type": "failed", "message_id": message_id}
    assert engine.events({"events": [event]}, NOW)["results"][0]["status"] == "applied"


def suppress_and_lift(engine: Engine, message_id: str) -> None:
    engine.suppress("c-1", CHANNEL, None, None, NOW)
    engine.lift("c-1", CHANNEL)


def opt_out_and_in(engine: Engine, message_id: str) -> None:
    engine.put_recipient("c-1", {"preferences": AWAKE | {"opt_out": [CHANNEL]}}, NOW)
    engine.put_recipient("c-1", {"preferences": AWAKE}, NOW)


@pytest.mark.parametrize("way", [cancel, fail, suppress_and_lift, opt_out_and_in])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shards", [1, 3])
def test_what_ends_unsent_is_free_in_the_same_second(
    shards: int, block: str, way: Callable[[Engine, str], None]
) -> None:
    engine, reason = Engine(shards=shards), block.split(" ", maxsplit=1)[0]
    engine.put_campaign({"id": "c", "urgency": "high", "timezone": "Europe/London"} | BLOCKS[block])
    ana = {"id": "c-1", "contacts": {CHANNEL: "+15550100"}, "preferences": AWAKE}
    other = ana | {"id": "c-9"} if reason in ("over_budget", "daily_limit") else ana

    def send(recipient: dict, number: int) -> dict:
        own_key = {} if reason == "duplicate" else {"dedup_key": f"k{number}"}
        return engine.send({"campaign_id": "c", "recipient": recipient} | own_key, NOW)

    first = send(ana, 1)
    assert first["status"] == "scheduled"
    assert send(other, 2)["reason"] == reason
    way(engine, first["message_id"])
    second = send(other, 3)
    assert (second["status"], second["scheduled_at"]) == ("scheduled", rfc3339(NOW))
    assert send(ana, 4)["reason"] == reason
    assert engine.ledger.audit() == []


def test_transactional_messages_are_neither_counted_nor_held() -> None:
    engine = Engine()
    limits = {"limits": {"daily_cap": 1, "weekly_cap": 1, "lookback_hours": 0}, "urgency": "high"}
    engine.put_campaign({"id": "care", "category": "transactional"} | limits)
    engine.put_campaign({"id": "c"} | limits)
    ana = {"id": "c-1", "contacts": {CHANNEL: "+15550100"}, "preferences": AWAKE}
    for _ in range(3):
        assert engine.send({"campaign_id": "care", "recipient": ana}, NOW)["status"] == "scheduled"
    assert engine.send({"campaign_id": "c", "recipient": ana}, NOW)["status"] == "scheduled"
    assert engine.send({"campaign_id": "c", "recipient": ana}, NOW)["reason"] == "daily_cap"
    assert engine.send({"campaign_id": "care", "recipient": ana}, NOW)["scheduled_at"] == rfc3339(NOW)
    shown = engine.recipient("c-1", NOW)
    assert shown is not None
    assert shown["caps"]["daily"]["used"] == 1
