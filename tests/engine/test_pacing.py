"""Pacing: worked numbers, and what holds for any."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model import decode_campaign
from engine.money import MICRO
from engine.pacing import Pacing
from engine.status import build_status
from tests.engine.test_status import tally

DAY = 86_400
MARCH = (0, 31 * DAY)


def make(committed: int = 120 * MICRO, messages: int = 16_000, now: int = 10 * DAY, **changes: object) -> Pacing:
    """500.00 over 31 days, of which ten are over and 120.00 is committed at 0.0075 a message."""
    fields = {"total": 500 * MICRO, "period": MARCH, "committed": committed, "messages": messages, "now": now}
    return Pacing(**(fields | changes))  # type: ignore[arg-type]


def test_a_campaign_that_spends_too_slowly() -> None:
    pacing = make()
    assert pacing.ideal == Fraction(5000 * MICRO, 31)  # 161.29 of 500.00 in 10 of 31 days
    assert pacing.ratio == Fraction(744, 1000)  # 120 / 161.29
    assert pacing.recommendation == "increase"
    assert pacing.suggested_daily_messages == 2412  # 380.00 / 0.0075 / 21 = 2412.7
    assert pacing.projected_total == 372 * MICRO  # 12.00 a day
    assert pacing.exhausted_at is None  # on day 41.7


def test_a_campaign_that_spends_too_fast() -> None:
    pacing = make(committed=200 * MICRO)
    assert pacing.ratio == Fraction(124, 100)
    assert pacing.recommendation == "reduce"
    assert pacing.suggested_daily_messages == 1142  # 300.00 / 0.0125 / 21 = 1142.9
    assert pacing.projected_total == 620 * MICRO
    assert pacing.exhausted_at == 25 * DAY  # 20.00 a day


@pytest.mark.parametrize(
    ("committed", "recommendation"),
    [(90, "maintain"), (89.999999, "increase"), (110, "maintain"), (110.000001, "reduce")],
)
def test_the_bounds_of_the_ratio_are_exact(committed: float, recommendation: str) -> None:
    """1.10 and 0.90 themselves are maintained; a micro-unit beyond is not, though the ratio shows six digits."""
    pacing = make(total=200 * MICRO, period=(0, 20 * DAY), committed=round(committed * MICRO))
    assert pacing.ideal == 100 * MICRO
    assert pacing.recommendation == recommendation


def test_days_left_need_not_be_whole() -> None:
    assert make(now=30 * DAY + DAY // 2).suggested_daily_messages == 101_333  # 380.00 / 0.0075 / 0.5
    assert make(now=31 * DAY - 1).suggested_daily_messages == 380 * DAY * 10_000 // 75
    assert make(now=31 * DAY).suggested_daily_messages == 0
    assert make(now=-DAY).suggested_daily_messages == 1634  # all 31 days


def test_the_total_is_reached_at_the_end_or_before_it() -> None:
    on_the_curve = make(committed=250 * MICRO, period=(0, 20 * DAY))
    assert (on_the_curve.ratio, on_the_curve.exhausted_at) == (1, None)  # at the end, which is outside the period
    assert make(committed=251 * MICRO, period=(0, 20 * DAY)).exhausted_at == 1_721_116  # 20 days x 250 / 251
    assert make(committed=600 * MICRO).exhausted_at == 720_000  # it was, after 8 days and a third
    assert make(committed=600 * MICRO).suggested_daily_messages == 0
    assert make(committed=7, total=3, period=(0, 100), now=10).exhausted_at == 5  # 4.3, in whole seconds


def test_before_the_start_and_after_the_end() -> None:
    before = make(committed=0, messages=0, now=-1)
    assert (before.ideal, before.ratio, before.projected_total, before.exhausted_at) == (0, None, 0, None)
    after = make(now=99 * DAY)
    assert (after.ideal, after.projected_total) == (500 * MICRO, 120 * MICRO)


@pytest.mark.parametrize("changes", [{"total": None}, {"period": None}, {"total": None, "period": None}])
def test_without_a_total_or_a_period_there_is_no_ideal(changes: dict[str, object]) -> None:
    pacing = make(**changes)  # type: ignore[arg-type]
    assert (pacing.ideal, pacing.ratio, pacing.recommendation) == (0, None, "maintain")
    assert (pacing.suggested_daily_messages, pacing.exhausted_at) == (0, None)
    assert pacing.projected_total == (372 * MICRO if "period" not in changes else 120 * MICRO)


@given(
    total=st.integers(1, 10**12),
    committed=st.integers(1, 10**12),
    messages=st.integers(1, 10**6),
    length=st.integers(1, 400 * DAY),
    now=st.integers(1, 400 * DAY),
)
def test_what_is_suggested_and_foreseen_fits_the_total(
    total: int, committed: int, messages: int, length: int, now: int
) -> None:
    pacing = make(total=total, committed=committed, messages=messages, period=(0, length), now=now)
    days_left = Fraction(max(0, length - now), DAY)
    mean = Fraction(committed, messages)
    assert pacing.suggested_daily_messages * mean * days_left <= max(0, total - committed)
    if days_left:
        assert (pacing.suggested_daily_messages + 1) * mean * days_left > max(0, total - committed)
    rate = Fraction(committed, min(now, length))
    if pacing.exhausted_at is None:
        assert rate * (length - 1) < total
    else:
        assert rate * (pacing.exhausted_at - 1) < total <= rate * pacing.exhausted_at


def test_status_shows_pacing_as_amounts() -> None:
    """Three tenths of the period are over, 7 x 3 messages cost 0.021 of 0.10."""
    body = b'{"budget": {"total": "0.1"}, "starts_at": "1970-01-01T00:00:00Z", "ends_at": "1970-01-11T00:00:00Z"}'
    status = build_status(decode_campaign(body, "x"), False, [tally(3)], 3 * DAY)
    assert status["pacing"] == {
        "ideal": "0.03",
        "actual": "0.021",
        "ratio": 0.7,
        "recommendation": "increase",
        "suggested_daily_messages": 6,  # 0.079 / (0.021 / 12) / 7 = 6.4
        "projected_total": "0.07",
        "exhausted_at": None,
    }
