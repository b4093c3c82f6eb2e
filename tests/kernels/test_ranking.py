"""Ranking against plain Python floats and its sort."""

import datetime
from typing import Any

import numpy as np
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import NO_CHANNEL, NOT_PREFERRED, ZONE_INDEX, ZONE_NAMES, rank

CHANNELS = range(7)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

factors = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]) | st.floats(0, 1)


def tables(*shape: int) -> st.SearchStrategy[Any]:
    if not shape:
        return factors
    return st.lists(tables(*shape[1:]), min_size=shape[0], max_size=shape[0])


@st.composite
def hour_tables(draw: st.DrawFn) -> np.ndarray:
    """Random but cheap to draw: a seed decides the 336 weights, some of them equal, some days all 0."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = random.random((7, 2, 24)).round(draw(st.sampled_from([0, 1, 17])))
    weights[random.integers(0, 7), random.integers(0, 2)] = 0.0
    return weights


counts = st.tuples(*[st.sampled_from([0.0, 0.0, 1.0, 2.5]) | st.floats(0, 1e6)] * 7)

recipients = st.fixed_dictionaries(
    {
        "candidates": st.integers(0, 127),
        "customer_type": st.integers(0, 1),
        "device": st.integers(0, 3),
        "zone": st.sampled_from(ZONE_NAMES),
        "preferred": st.lists(st.sampled_from(CHANNELS), unique=True),
        "counts": st.none() | st.tuples(counts, counts),
    }
)
campaigns = st.fixed_dictionaries(
    {
        "factor_weights": tables(5),
        "customer_type": tables(2, 7),
        "prior_deliveries": st.sampled_from([5.0, 0.001, 1e6]),
        "rates": tables(7),
        "device": tables(4, 7),
        "urgency": tables(7),
        "hours": hour_tables(),
        "tiers": st.lists(st.integers(1, 3), min_size=7, max_size=7),
        "costs": st.lists(st.sampled_from([0, 1000, 7500, 2**62]), min_size=7, max_size=7),
    }
)


def expected(campaign: dict[str, Any], recipient: dict[str, Any], now: int) -> tuple[list[int], list[int]]:
    moment = EPOCH + datetime.timedelta(seconds=now)
    hour = moment.astimezone(pytz.timezone(recipient["zone"])).hour
    customer_type = recipient["customer_type"]
    w = campaign["factor_weights"]
    k, (delivered, engaged) = campaign["prior_deliveries"], recipient["counts"] or ([0.0] * 7, [0.0] * 7)
    values = []
    for channel in CHANNELS:
        day = [float(weight) for weight in campaign["hours"][channel, customer_type]]
        time_of_day = day[hour] / max(day) if max(day) > 0 else 0.0
        score = (
            w[0] * campaign["customer_type"][customer_type][channel]
            + w[1] * min((k * campaign["rates"][channel] + engaged[channel]) / (k + delivered[channel]), 1.0)
            + w[2] * campaign["device"][recipient["device"]][channel]
            + w[3] * campaign["urgency"][channel]
            + w[4] * time_of_day
        )
        preferred = recipient["preferred"]
        boost = 0.0
        if channel in preferred:
            boost = 0.10 * (len(preferred) - preferred.index(channel)) / len(preferred)
        values.append(round((score + boost) * 1e9))
    order = [channel for channel in CHANNELS if recipient["candidates"] >> channel & 1]
    order.sort(key=lambda channel: (campaign["tiers"][channel], -values[channel], campaign["costs"][channel]))
    return order, values


def counts_of(people: list[dict[str, Any]]) -> tuple[np.ndarray, ...]:
    """A row of zeros for all who have no counts, and one for each who has."""
    known = [((0.0,) * 7, (0.0,) * 7), *(person["counts"] for person in people if person["counts"])]
    rows, following = [], iter(range(1, len(known)))
    for person in people:
        rows.append(next(following) if person["counts"] else 0)
    delivered, engaged = zip(*known, strict=True)
    return np.array(rows, np.uint32), np.array(delivered, np.float64), np.array(engaged, np.float64)


def preference_ranks(preferred: list[int]) -> list[int]:
    return [preferred.index(channel) if channel in preferred else NOT_PREFERRED for channel in CHANNELS]


def ranked(campaign: dict[str, Any], people: list[dict[str, Any]], now: int) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel says: orders and values."""
    out_order = np.full((len(people), 7), 77, np.uint8)
    out_value = np.full((len(people), 7), -77, np.int64)
    rank(
        now,
        np.array([person["candidates"] for person in people], np.uint8),
        np.array([person["customer_type"] for person in people], np.uint8),
        np.array([person["device"] for person in people], np.uint8),
        np.array([ZONE_INDEX[person["zone"]] for person in people], np.uint16),
        np.array([preference_ranks(person["preferred"]) for person in people], np.uint8).reshape(-1, 7),
        np.array([len(person["preferred"]) for person in people], np.uint8),
        *counts_of(people),
        *(np.array(campaign[table], np.float64) for table in ("factor_weights", "customer_type")),
        campaign["prior_deliveries"],
        *(np.array(campaign[table], np.float64) for table in ("rates", "device", "urgency", "hours")),
        np.array(campaign["tiers"], np.int64),
        np.array(campaign["costs"], np.int64),
        out_order,
        out_value,
    )
    return out_order, out_value


@settings(max_examples=200, deadline=None)
@given(campaigns, st.lists(recipients, max_size=8), st.integers(0, 2**32))
def test_equals_plain_python(campaign: dict[str, Any], people: list[dict[str, Any]], now: int) -> None:
    out_order, out_value = ranked(campaign, people, now)
    for person, order, values in zip(people, out_order.tolist(), out_value.tolist(), strict=True):
        candidates, wanted = expected(campaign, person, now)
        assert values == wanted
        assert order == candidates + [NO_CHANNEL] * (7 - len(candidates))


def test_equal_values_go_by_cost_and_equal_costs_by_the_channels_own_order() -> None:
    none = [0.0] * 7
    campaign = {"factor_weights": [0.0] * 5, "customer_type": [none] * 2, "prior_deliveries": 5.0, "rates": none}
    campaign |= {"device": [none] * 4, "urgency": none, "hours": np.ones((7, 2, 24))}
    campaign |= {"tiers": [2, 2, 2, 2, 2, 2, 1], "costs": [3000, 1000, 2000, 1000, 3000, 0, 9000]}
    person = {"candidates": 0b1011111, "customer_type": 0, "device": 0, "zone": "UTC", "preferred": [], "counts": None}
    order, _ = ranked(campaign, [person], 0)
    assert order[0].tolist() == [6, 1, 3, 2, 0, 4, NO_CHANNEL]
