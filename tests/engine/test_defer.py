"""`on_cap: "defer"` against exhaustive search, and permitted minutes in the core against the kernel.

The search looks at every minute of the week and asks pytz and the caps anew for each; it shares no short cut with
the core, and none with the reference model.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine
from engine._core import CHANNELS, Zones
from kernels import HIGH, NONE, ZONE_INDEX, ZONE_NAMES, send_times, zone_tables
from tests.reference_rules import DAY, HOUR, MINUTE, WEEK, broken_rules, local_time, permitted, span_of_day
from tests.strategies import BY_DAY, STARTS, ZONES, Dice, make_span, rfc3339

CORE = Zones(*zone_tables())
GAP = 4 * HOUR
SPANS = st.tuples(st.integers(0, 1439), st.integers(0, 1439))


# ---- permitted minutes ------------------------------------------------------------------------------------


def kernel_first_permitted(zone: int, minute: int, window: tuple, quiet: tuple, ends_at: int | None) -> int | None:
    instants = np.empty((1, 7), np.int64)
    send_times(
        minute, HIGH, NONE, np.array([0b10], np.uint8), np.array([zone], np.uint16),
        np.array([quiet[0]], np.int16), np.array([quiet[1]], np.int16), np.zeros(1, np.uint8), np.zeros(1, np.uint64),
        np.ones((7, 2, 24)), *window, NONE, NONE if ends_at is None else ends_at, 0,
        instants, np.empty((1, 7), np.int32), np.empty((1, 7), np.int16),
    )  # fmt: skip
    return None if instants[0, 1] == NONE else int(instants[0, 1])


@settings(deadline=None)  # the first call compiles the kernel
@given(
    zone=st.sampled_from(ZONES).map(ZONE_INDEX.__getitem__) | st.integers(0, len(ZONE_NAMES) - 1),
    instant=st.sampled_from(STARTS).flatmap(lambda start: st.integers(start, start + 4 * DAY))
    | st.integers(0, STARTS[-1]),
    window=SPANS | st.just((0, 0)),
    quiet=SPANS | st.just((0, 0)),
    length=st.integers(1, 3 * DAY) | st.none(),
)
def test_the_core_and_the_kernel_permit_the_same_minutes(zone, instant, window, quiet, length) -> None:
    ends_at = None if length is None else instant + length
    minute = -(-instant // MINUTE) * MINUTE
    expected = kernel_first_permitted(zone, minute, window, quiet, ends_at)
    assert CORE.first_permitted(zone, instant, window, quiet, ends_at) == expected


def test_a_zone_that_is_none_and_tables_that_do_not_fit_are_refused() -> None:
    begins, offsets, starts = zone_tables()
    with pytest.raises(IndexError):
        CORE.first_permitted(len(ZONE_NAMES), 0, (0, 0), (0, 0), None)
    with pytest.raises(ValueError, match="do not fit"):
        Zones(begins, offsets[:-1], starts)


# ---- deferring --------------------------------------------------------------------------------------------


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def search(place: tuple, counted: list, channel: str, caps: tuple, refused: int, now: int) -> int | None:
    """Every minute after the refused instant, to now + 7 days."""
    for minute in range(refused // MINUTE * MINUTE + MINUTE, now + WEEK + 1, MINUTE):
        if permitted(place, minute) and not broken_rules(counted, minute, channel, caps, GAP):
            return minute
    return None


def fill(engine: Engine, dice: Dice, now: int, zone: str, channel: str) -> list[tuple[int, str]]:
    """Gives a recipient some messages around `now`; their counted instants."""
    engine.put_campaign({"id": "fill", "limits": {"daily_cap": 50, "weekly_cap": 50, "lookback_hours": 0}})
    everywhere = dict.fromkeys(CHANNELS[3:], "ana") | {"email": "ana@example.com"}
    phone = {"sms": "+15550100", "whatsapp": "+15550100"}
    recipient = {"id": "c-1", "timezone": zone, "contacts": everywhere | phone}
    recipient["preferences"] = {"quiet_hours": {"start": "00:00", "end": "00:00"}}
    counted = []
    for _ in range(dice.integer(1, 8)):
        body = {"campaign_id": "fill", "recipient": recipient, "channels": [dice.pick((channel, *CHANNELS))]}
        body["send_at"] = rfc3339(now + dice.integer(0, dice.pick((DAY, 8 * DAY))))
        decision = engine.send(body, now)
        if decision["status"] == "scheduled":
            counted.append((seconds(decision["scheduled_at"]), decision["channel"]))
    return counted


@pytest.mark.parametrize("seed", range(60))
def test_the_deferred_instant_is_the_first_that_a_search_finds(seed: int) -> None:
    dice = Dice(seed)
    engine, now, zone = Engine(), dice.pick(STARTS) + dice.integer(0, 2 * DAY), dice.pick(ZONES)
    caps = (dice.integer(1, 3), dice.integer(1, 5))
    channel = dice.pick(("sms", "email"))
    counted = fill(engine, dice, now, zone, channel)
    campaign: dict = {"id": "late", "on_cap": "defer", "urgency": "high", "timezone": dice.pick(ZONES)}
    campaign["limits"] = {"daily_cap": caps[0], "weekly_cap": caps[1], "daily_messages": 5}
    campaign["send_window"] = dice.pick((BY_DAY, make_span(dice)))
    ends_at = now + dice.integer(DAY, 9 * DAY) if dice.chance(30) else None
    if ends_at is not None:
        campaign["ends_at"] = rfc3339(ends_at)
    quiet = make_span(dice)
    recipient = {"id": "c-1", "preferences": {"quiet_hours": quiet}}
    request = {"campaign_id": "late", "recipient": recipient, "channels": [channel]}
    place = (zone, -np.inf, np.inf if ends_at is None else ends_at, span_of_day(campaign["send_window"]))
    place += (None if channel == "email" else span_of_day(quiet),)
    first = next((t for m in range(now // 60 * 60, now + 4 * DAY, 60) if permitted(place, t := max(m, now))), None)
    engine.put_campaign(campaign)
    decision = engine.send(request, now)
    if first is None:
        assert decision["reason"] == "no_send_window"
        return
    broken = broken_rules(counted, first, channel, caps, GAP)
    expected = search(place, counted, channel, caps, first, now) if broken else first
    if expected is None:
        assert decision["reason"] in broken
        return
    assert decision["status"] == "scheduled", decision
    assert seconds(decision["scheduled_at"]) == expected
    assert decision["scheduled_local"] == local_time(expected, zone).isoformat()
    assert (decision["detail"] is not None) == bool(broken)


def late(engine: Engine, now: int, **fields: object) -> dict:
    """The second message of a day with a cap of one, deferred."""
    limits = {"limits": {"daily_cap": 1, "lookback_hours": 0}, "urgency": "high", "timezone": "America/New_York"}
    engine.put_campaign({"id": "late", "on_cap": "defer"} | limits | fields)
    contacts = {"contacts": {"email": "ana@example.com"}}
    body = {"campaign_id": "late", "recipient": {"id": "c-1"} | contacts}
    assert engine.send(body, now)["status"] == "scheduled"
    return engine.send(body, now)


NOON = seconds("2026-03-07T17:00:30Z")  # the day before New York's clocks go forward


def test_a_day_is_24_hours_across_a_clock_change_and_the_local_time_is_that_of_the_new_offset() -> None:
    decision = late(Engine(), NOON)
    assert decision["scheduled_at"] == "2026-03-08T17:01:00Z"
    assert decision["scheduled_local"] == "2026-03-08T13:01:00-04:00"
    assert "daily frequency cap" in decision["detail"]


def test_seven_days_from_now_is_the_last_minute_to_defer_to() -> None:
    limits = {"limits": {"daily_cap": 5, "weekly_cap": 1, "lookback_hours": 0}}
    whole_minute = NOON // MINUTE * MINUTE
    assert late(Engine(), whole_minute, **limits)["scheduled_at"] == rfc3339(whole_minute + WEEK)
    assert late(Engine(), whole_minute + 1, **limits)["reason"] == "weekly_cap"


def test_the_budget_of_a_deferred_message_is_that_of_its_own_day() -> None:
    engine = Engine()
    budget = {"budget": {"daily": "0.001"}, "costs": {"email": "0.001"}}
    assert late(engine, NOON, **budget)["scheduled_at"] == "2026-03-08T17:01:00Z"
    assert engine.status("late", NOON)["budget"]["today"]["committed"] == "0.001"
    assert engine.status("late", NOON + DAY)["budget"]["today"]["committed"] == "0.001"


def test_a_cap_of_nothing_and_a_period_that_is_over_first_leave_it_refused() -> None:
    ends_at = {"ends_at": rfc3339(NOON + DAY)}
    decision = late(Engine(), NOON, **ends_at)
    assert (decision["reason"], decision["next_eligible_at"]) == ("daily_cap", "2026-03-08T17:00:30Z")
