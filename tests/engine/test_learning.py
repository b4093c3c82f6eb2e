"""Learning: figures worked out by hand, on any number of shards, and decisions that go by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine
from engine._core import CHANNELS
from engine.config import best_hour_weights, default_settings, engagement_rates
from engine.learning import Figures, Learned, Learning
from engine.orchestrator import Orchestrator
from tests.reference_rules import DAY, HOUR, instant, rfc

NOON = instant("2026-03-02T12:00:00Z")  # a Monday
EMAIL, SMS = CHANNELS.index("email"), CHANNELS.index("sms")
LEARNING = Learning(default_settings())


def counts(*cells: tuple[int, int, float, float]) -> np.ndarray:
    """From (channel, hour, delivered, engaged)."""
    array = np.zeros((2, 7, 24))
    for channel, hour, delivered, engaged in cells:
        array[:, channel, hour] = delivered, engaged
    return array


# ---- figures ----------------------------------------------------------------------------------------------


def test_without_events_all_is_as_the_tables_say() -> None:
    figures = LEARNING.figures([Learned(0, {})], 0)
    assert figures.campaigns == {}
    everywhere = figures.of("any")
    rates, best = engagement_rates(default_settings()), best_hour_weights(default_settings())
    assert everywhere.rates.tolist() == rates.tolist()
    assert np.allclose(everywhere.hour_weights, rates[:, np.newaxis, np.newaxis] * best, rtol=1e-12)


def test_figures_worked_out_by_hand() -> None:
    first = Learned(NOON, {"c": counts((EMAIL, 7, 6.0, 5.0), (EMAIL, 9, 2.0, 0.0)), "d": counts((SMS, 12, 0.5, 1.0))})
    second = Learned(NOON, {"c": counts((EMAIL, 7, 4.0, 3.0))})
    figures = LEARNING.figures([first, second], NOON)
    # c: 8 of 12 e-mails; d: 1 of 0.5 sms is no rate above 1. Each has the other's where it has nothing.
    assert figures.of("c").rates[[EMAIL, SMS]].tolist() == pytest.approx([8 / 12, 1.0])
    assert figures.of("d").rates[[EMAIL, SMS]].tolist() == pytest.approx([8 / 12, 1.0])
    assert figures.of("c").rates[CHANNELS.index("twitter")] == 0.05
    # (50 · 0.22 · 0.2 + 8) / (50 + 10) = 0.17 over all campaigns, (50 · 0.17 + 8) / (50 + 10) = 0.275 in c.
    for customer_type in (0, 1):
        assert figures.of("c").hour_weights[EMAIL, customer_type, 7] == 0.275
        assert figures.of("d").hour_weights[EMAIL, customer_type, 7] == 0.17
        # (50 · 0.22 + 0) / (50 + 2) = 0.2115384615, (50 · 0.2115384615 + 0) / (50 + 2) = 0.2034023669
        assert figures.of("c").hour_weights[EMAIL, customer_type, 9] == 0.203402367
    assert figures.of("e").hour_weights[EMAIL, 0, 7] == 0.17


def test_an_older_report_is_decayed() -> None:
    figures = LEARNING.figures(
        [
            Learned(NOON, {"c": counts((EMAIL, 9, 2.0, 2.0))}),
            Learned(NOON + 90 * DAY, {"c": counts((EMAIL, 9, 1.0, 0.0))}),
        ],
        NOON + 90 * DAY,
    )
    assert figures.of("c").rates[EMAIL] == 0.5


def test_hours_without_data_stay_equal() -> None:
    figures = LEARNING.figures([Learned(NOON, {"c": counts((EMAIL, 7, 1 / 3, 1 / 7))})], NOON)
    weights = figures.of("c").hour_weights[EMAIL, 0].tolist()
    assert len({weight for hour, weight in enumerate(weights) if hour not in (7, 9)}) == 1


# ---- from events ------------------------------------------------------------------------------------------


def send(engine: Engine, recipient_id: str, now: int, **options: Any) -> dict[str, Any]:
    contacts = {"email": "ana@example.com", "sms": "+50937001234"}
    body = {"campaign_id": "c", "recipient": {"id": recipient_id, "contacts": contacts}, "explain": True}
    return engine.send(body | options, now)


def happen(engine: Engine, decision: dict[str, Any], kind: str, now: int, at: int | None = None) -> None:
    event = {"id": f"{kind} {decision['message_id']}", "type": kind, "message_id": decision["message_id"]}
    (result,) = engine.events({"events": [event | ({} if at is None else {"at": rfc(at)})]}, now)["results"]
    assert result["status"] == "applied"


def factor(decision: dict[str, Any], channel: str = "email", name: str = "engagement") -> float:
    value: float = decision["explanation"]["channels"][channel]["factors"][name]
    return value


def test_own_counts_are_known_at_once_and_figures_once_they_are_published() -> None:
    engine = Engine(shards=3)
    engine.put_campaign({"id": "c", "urgency": "high"})
    first = send(engine, "ana", NOON, channels=["email"])
    assert factor(first) == pytest.approx(0.22)
    happen(engine, first, "opened", NOON)
    assert factor(send(engine, "ana", NOON + 90 * DAY)) == pytest.approx((5 * 0.22 + 0.5) / (5 + 0.5))
    others = [f"r{number}" for number in range(9)]  # on all shards
    assert [factor(send(engine, other, NOON + 90 * DAY)) for other in others] == pytest.approx([0.22] * 9)
    engine.set_clock(NOON + 90 * DAY)
    assert [factor(send(engine, other, NOON + 91 * DAY)) for other in others] == pytest.approx([1.0] * 9)
    assert engine.erase("ana", NOON + 91 * DAY)
    engine.set_clock(NOON + 91 * DAY)
    engine.put_campaign({"id": "d", "urgency": "high"})
    assert factor(send(engine, "ana", NOON + 91 * DAY, campaign_id="d")) == pytest.approx(1.0)  # over all campaigns


def test_an_hour_that_does_better_is_chosen_and_ranked_by() -> None:
    engine = Engine(shards=2)
    engine.put_campaign({"id": "c"})
    seven = NOON + 19 * HOUR
    for number in range(8):
        decision = send(engine, f"r{number}", NOON, channels=["email"], send_at=rfc(seven))
        happen(engine, decision, "replied", NOON)
    before = send(engine, "ana", seven, channels=["email"])
    assert before["scheduled_at"] == "2026-03-03T09:" + before["scheduled_at"][14:]
    assert factor(before, name="time_of_day") == pytest.approx(0.2)
    engine.set_clock(seven)
    after = send(engine, "bob", seven, channels=["email"])
    assert after["scheduled_at"].startswith("2026-03-03T07:")
    assert factor(after, name="time_of_day") == 1.0


def figures_of(shards: list[Orchestrator], now: int) -> Figures:
    return LEARNING.figures([shard.learned(now) for shard in shards], now)


events = st.tuples(
    st.integers(0, 11),
    st.sampled_from(("delivered", "opened", "clicked", "replied", "converted")),
    st.sampled_from((-5 * DAY, 0, HOUR, 3 * DAY, 90 * DAY, 3650 * DAY)) | st.integers(0, 400 * DAY),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=40))
def test_the_number_of_shards_changes_no_figure(history: list[tuple[int, str, int]]) -> None:
    engines = [Engine(shards=shards) for shards in (1, 2, 5)]
    for engine in engines:
        sent = []
        for campaign, zone in (("c", "UTC"), ("d", "Asia/Kathmandu")):
            engine.put_campaign({"id": campaign, "timezone": zone, "limits": {"daily_cap": 50}})
            sent += [send(engine, f"r{number}", NOON, campaign_id=campaign) for number in range(6)]
        for step, (message, kind, age) in enumerate(history):
            event = {"id": f"e{step}", "type": kind, "message_id": sent[message]["message_id"]}
            engine.events({"events": [event | {"at": rfc(NOON - age)}]}, NOON + step * HOUR)
    now = NOON + 40 * HOUR
    one, *others = (figures_of(engine.shards, now) for engine in engines)
    for other in others:
        assert one.campaigns.keys() == other.campaigns.keys()
        for campaign in ("c", "d", "no other"):
            for ours, theirs in zip(one.of(campaign), other.of(campaign), strict=True):
                assert np.allclose(ours, theirs, rtol=0, atol=2e-9)
