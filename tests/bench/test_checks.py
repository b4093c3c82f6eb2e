"""The brute-force checks see each breach they exist for, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import checks
from bench.answers import Conversion, Outcome, dollars, micros

NOON = 1_500_048_000  # 2017-07-14, noon in New York
HOUR = 3600
CAMPAIGNS: dict[str, dict[str, Any]] = {
    "spring": {
        "budget": {"total": "1.00", "daily": "0.05", "per_channel": {"sms": "0.02"}},
        "limits": {"daily_cap": 2, "weekly_cap": 4, "daily_messages": 6, "lookback_hours": 24},
        "send_window": {"start": "08:00", "end": "21:00"},
    },
    "receipts": {"category": "transactional", "limits": {"lookback_hours": 0}},
}


def message(at: int = NOON, **changes: Any) -> Outcome:
    """A message of `spring` by e-mail at noon that breaks nothing, but for what is changed."""
    given_values: dict[str, Any] = {
        "household": 1, "campaign": "spring", "dedup_key": f"key-{at}", "now": at, "status": "scheduled",
        "reason": None, "channel": "email", "at": at, "local_minute": None, "cost": 10_000,
        "quiet": (1260, 480),
    }  # fmt: skip
    given_values.update(changes)
    if given_values["local_minute"] is None and at is not None:
        given_values["local_minute"] = (at - 4 * HOUR) % 86400 // 60
    return Outcome(**given_values)


def breaches(*outcomes: Outcome) -> dict[str, list[str]]:
    return {
        "caps": checks.check_caps(outcomes, CAMPAIGNS),
        "duplicates": checks.check_duplicates(outcomes, CAMPAIGNS),
        "budgets": checks.check_budgets(outcomes, CAMPAIGNS),
        "times": checks.check_times(outcomes, CAMPAIGNS),
    }


def broken(*outcomes: Outcome) -> set[str]:
    return {name for name, faults in breaches(*outcomes).items() if faults}


def test_a_good_run_passes() -> None:
    day = 24 * HOUR
    assert broken(message(NOON), message(NOON + 4 * HOUR), message(NOON + day), message(NOON + day + 4 * HOUR)) == set()


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        (5 * HOUR, 23 * HOUR, {"caps"}),
        (5 * HOUR, 24 * HOUR, set()),
        (24 * HOUR, 28 * HOUR, set()),
        (6 * HOUR, 24 * HOUR - 1, {"caps"}),
    ],
)
def test_the_daily_cap_is_half_open(second: int, third: int, expected: set[str]) -> None:
    outcomes = [message(NOON), message(NOON + second), message(NOON + third)]
    assert {name for name in broken(*outcomes) if name == "caps"} == expected
    assert {name for name in broken(*outcomes[::-1]) if name == "caps"} == expected


def test_the_weekly_cap_counts_every_channel() -> None:
    days = [message(NOON + index * 30 * HOUR, channel="facebook", cost=0) for index in range(5)]
    assert checks.check_caps(days[:4], CAMPAIGNS) == []
    assert len(checks.check_caps(days, CAMPAIGNS)) == 1


def test_the_gap_is_of_one_channel() -> None:
    assert broken(message(NOON), message(NOON + HOUR)) == {"caps"}
    assert broken(message(NOON), message(NOON + HOUR, channel="facebook")) == set()
    assert broken(message(NOON), message(NOON + 4 * HOUR)) == set()


def test_transactional_messages_neither_count_nor_are_held() -> None:
    receipts = [message(NOON, campaign="receipts", dedup_key="receipts", cost=0) for _ in range(20)]
    assert broken(*receipts, message(NOON)) == set()


def test_a_repeated_key_is_seen_within_the_lookback() -> None:
    again = message(NOON + 24 * HOUR, dedup_key=f"key-{NOON}")
    assert broken(message(NOON), again) == set()
    assert broken(message(NOON), again._replace(now=NOON + 24 * HOUR - 1)) == {"duplicates"}


@pytest.mark.parametrize(
    "outcomes",
    [
        [message(household=index, cost=10_001) for index in range(5)],
        [message(household=index, channel="sms", cost=10_001) for index in range(2)],
        [message(household=index, cost=0) for index in range(7)],
        [message(NOON + index * 24 * HOUR, household=index, cost=49_000) for index in range(21)],
    ],
    ids=["daily money", "channel money", "daily messages", "total money"],
)
def test_each_budget_is_watched(outcomes: list[Outcome]) -> None:
    assert broken(*outcomes) == {"budgets"}
    assert broken(*outcomes[:-1]) == set()


def test_times_are_watched() -> None:
    night = NOON + 11 * HOUR
    assert broken(message(night)) == {"times"}
    assert broken(message(NOON, now=NOON + 1)) == {"times"}
    assert broken(message(NOON, local_minute=1)) == {"times"}
    assert broken(message(NOON, channel="sms", quiet=(600, 900))) == {"times"}
    assert broken(message(NOON, channel="email", quiet=(600, 900))) == set()


def test_a_status_that_disagrees_is_named() -> None:
    refused = message()._replace(household=2, status="blocked", reason="daily_cap", channel=None, at=None, cost=0)
    outcomes = [message(), refused]
    status: dict[str, Any] = {
        "messages": {"scheduled": 0, "delivered": 1},
        "blocked": {"daily_cap": 1, "duplicate": 0},
        "by_channel": {"email": {"messages": 1}, "sms": {"messages": 0}},
        "budget": {"committed": "0.01"},
        "performance": {"converted": 1, "revenue": "12.50"},
    }
    converted = [Conversion("spring", "m-1", 12_000_000), Conversion("spring", "m-1", 500_000)]
    assert checks.check_statuses(outcomes, converted, {"spring": status}) == []
    for part, change in (
        ("messages", {"scheduled": 1, "delivered": 1}),
        ("blocked", {"daily_cap": 2}),
        ("by_channel", {"sms": {"messages": 1}}),
        ("budget", {"committed": "0.02"}),
        ("performance", {"converted": 1, "revenue": "12.49"}),
    ):
        faults = checks.check_statuses(outcomes, converted, {"spring": {**status, part: change}})
        assert len(faults) == 1, part


@given(st.integers(min_value=0, max_value=2**62))
def test_money_survives_its_text(amount: int) -> None:
    assert micros(dollars(amount)) == amount


@given(st.lists(st.integers(min_value=0, max_value=50), max_size=12), st.integers(min_value=1, max_value=20))
def test_most_in_a_span_is_the_most_over_all_spans(instants: list[int], span: int) -> None:
    everywhere = [sum(start <= at < start + span for at in instants) for start in range(-20, 60)]
    assert checks.most_in_a_span(instants, span) == max(everywhere)
