"""In which order to try the channels of each recipient.

Score = w0 · customer type + w1 · engagement + w2 · device + w3 · urgency + w4 · time of day, each factor in
[0, 1], summed left to right in float64. The i-th (from 0) of n preferred channels adds 0.10 · (n - i) / n.
Engagement is a smoothed rate of the recipient's own messages: (k · p + engaged) / (k + delivered), at most 1, p being
the channel's rate over everybody and k what it weighs in deliveries.
Order: tier lower first, value higher first, cost lower first, then channel order.

Formula: contract, section 4, step 3.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import INTEGER, NUMBER, column, inlined, inner, kernel, out, whole
from kernels.words import CHANNEL_COUNT, NO_CHANNEL, NOT_PREFERRED
from kernels.zones import clock_from, offset_at, zone_tables

_VALUE_SCALE = 1e9
_HOUR = 3_600


@inner
def _time_of_day(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each hour weight divided by the highest of its channel and customer type; 0 where all are 0."""
    factors = np.zeros(weights.shape, np.float64)
    for channel in range(weights.shape[0]):
        for customer_type in range(weights.shape[1]):
            highest = weights[channel, customer_type].max()
            if highest > 0.0:
                for hour in range(24):
                    factors[channel, customer_type, hour] = weights[channel, customer_type, hour] / highest
    return factors


@inner
def _engagement(prior_deliveries: float, rate: float, delivered: float, engaged: float) -> float:
    return min((prior_deliveries * rate + engaged) / (prior_deliveries + delivered), 1.0)


@inlined
def _score(
    weights: NDArray[np.float64], customer_type: float, engagement: float, device: float, urgency: float, hour: float
) -> float:
    return float(
        weights[0] * customer_type
        + weights[1] * engagement
        + weights[2] * device
        + weights[3] * urgency
        + weights[4] * hour
    )


@inner
def _scores_without_counts(
    weights: NDArray[np.float64], customer_type_factors: NDArray[np.float64],
    prior_deliveries: float, rates: NDArray[np.float64], device_factors: NDArray[np.float64],
    urgency_factors: NDArray[np.float64], time_of_day: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Of recipients who have none yet: they are many, and differ in customer type, device, hour and channel alone."""
    scores = np.empty((customer_type_factors.shape[0], device_factors.shape[0], 24, CHANNEL_COUNT), np.float64)
    for channel in range(CHANNEL_COUNT):
        engagement = _engagement(prior_deliveries, rates[channel], 0.0, 0.0)
        for customer_type in range(scores.shape[0]):
            for device in range(scores.shape[1]):
                for hour in range(24):
                    scores[customer_type, device, hour, channel] = _score(
                        weights, customer_type_factors[customer_type, channel], engagement,
                        device_factors[device, channel], urgency_factors[channel],
                        time_of_day[channel, customer_type, hour],
                    )  # fmt: skip
    return scores


@inner
def _goes_before(
    channel: int, other: int, tiers: NDArray[np.int64], values: NDArray[np.int64], costs: NDArray[np.int64], i: int
) -> bool:
    """Whether `channel`, which comes after `other` in channel order, is tried before it."""
    if tiers[channel] != tiers[other]:
        return bool(tiers[channel] < tiers[other])
    if values[i, channel] != values[i, other]:
        return bool(values[i, channel] > values[i, other])
    return bool(costs[channel] < costs[other])


@inner
def _order(
    candidates: int,
    tiers: NDArray[np.int64],
    values: NDArray[np.int64],
    costs: NDArray[np.int64],
    out_order: NDArray[np.uint8],
    i: int,
) -> None:
    """Row i of the candidates and of `values` into that of `out_order`."""
    count = 0
    for channel in range(CHANNEL_COUNT):
        out_order[i, channel] = NO_CHANNEL
        if candidates >> channel & 1:
            place = count
            while place > 0 and _goes_before(channel, out_order[i, place - 1], tiers, values, costs, i):
                out_order[i, place] = out_order[i, place - 1]
                place -= 1
            out_order[i, place] = channel
            count += 1


@kernel(
    INTEGER,
    column("uint8"), column("uint8"), column("uint8"), column("uint16"), column("uint8", 2), column("uint8"),
    column("uint32"), column("float64", 2), column("float64", 2),
    column("float64"), column("float64", 2), NUMBER, column("float64"), column("float64", 2), column("float64"),
    column("float64", 3), column("int64"), column("int64"),
    column("int64"), column("int32"), column("int32"),
    out("uint8", 2), out("int64", 2),
)  # fmt: skip
def _rank(
    now: int,
    candidates: NDArray[np.uint8], customer_type: NDArray[np.uint8], device: NDArray[np.uint8],
    zone: NDArray[np.uint16], preference_rank: NDArray[np.uint8], preference_count: NDArray[np.uint8],
    counts_row: NDArray[np.uint32], delivered: NDArray[np.float64], engaged: NDArray[np.float64],
    factor_weights: NDArray[np.float64], customer_type_factors: NDArray[np.float64],
    prior_deliveries: float, rates: NDArray[np.float64], device_factors: NDArray[np.float64],
    urgency_factors: NDArray[np.float64], hour_weights: NDArray[np.float64],
    tiers: NDArray[np.int64], costs: NDArray[np.int64],
    begins: NDArray[np.int64], offsets: NDArray[np.int32], starts: NDArray[np.int32],
    out_order: NDArray[np.uint8], out_value: NDArray[np.int64],
) -> None:  # fmt: skip
    time_of_day = _time_of_day(hour_weights)
    hours = np.full(starts.shape[0] - 1, -1, np.int64)
    scores = _scores_without_counts(
        factor_weights, customer_type_factors, prior_deliveries, rates, device_factors, urgency_factors, time_of_day
    )
    for i in range(candidates.shape[0]):
        hour = hours[zone[i]]
        if hour < 0:
            clock = clock_from(begins, offsets, starts, whole(zone[i]), now)
            hour = hours[zone[i]] = (now + offset_at(clock, now)) // _HOUR % 24
        preferred = whole(preference_count[i])
        counts = whole(counts_row[i])
        for channel in range(CHANNEL_COUNT):
            value = scores[customer_type[i], device[i], hour, channel]
            if counts != 0:
                value = _score(
                    factor_weights, customer_type_factors[customer_type[i], channel],
                    _engagement(prior_deliveries, rates[channel], delivered[counts, channel], engaged[counts, channel]),
                    device_factors[device[i], channel], urgency_factors[channel],
                    time_of_day[channel, customer_type[i], hour],
                )  # fmt: skip
            if preferred:
                place = whole(preference_rank[i, channel])
                if place != NOT_PREFERRED:
                    value += 0.10 * (preferred - place) / preferred
            out_value[i, channel] = np.int64(np.rint(value * _VALUE_SCALE))
        _order(whole(candidates[i]), tiers, out_value, costs, out_order, i)


def rank(
    now: int,
    candidates: NDArray[np.uint8],
    customer_type: NDArray[np.uint8],
    device: NDArray[np.uint8],
    zone: NDArray[np.uint16],
    preference_rank: NDArray[np.uint8],
    preference_count: NDArray[np.uint8],
    counts_row: NDArray[np.uint32],
    delivered: NDArray[np.float64],
    engaged: NDArray[np.float64],
    factor_weights: NDArray[np.float64],
    customer_type_factors: NDArray[np.float64],
    prior_deliveries: float,
    rates: NDArray[np.float64],
    device_factors: NDArray[np.float64],
    urgency_factors: NDArray[np.float64],
    hour_weights: NDArray[np.float64],
    tiers: NDArray[np.int64],
    costs: NDArray[np.int64],
    out_order: NDArray[np.uint8],
    out_value: NDArray[np.int64],
) -> None:
    """Scores the 7 channels for each of n recipients and orders the candidates among them.

    All arrays are C-contiguous. They may be read-only but for the two that are written. Indices are not
    checked: a zone, customer type, device or array length out of range is undefined behaviour.

    Args:
        now: whole seconds since the epoch; its local hour gives the time of day.
        candidates: u8[n], bit c set = channel c is ordered.
        customer_type: u8[n], 0 new, 1 existing.
        device: u8[n], 0 mobile, 1 desktop, 2 tablet, 3 unknown.
        zone: u16[n], index into `ZONE_NAMES`.
        preference_rank: u8[n, 7], the place (from 0) a channel has among the preferred, else `NOT_PREFERRED`.
        preference_count: u8[n], how many channels are preferred.
        counts_row: u32[n], below m: the row of `delivered` and `engaged` that is the recipient's; 0 without counts.
        delivered, engaged: f64[m, 7], the recipients' own messages, weighed by age; not negative. Row 0 is not read.
        factor_weights: f64[5], of customer type, engagement, device, urgency and time of day.
        customer_type_factors: f64[2, 7].
        prior_deliveries: k, above 0: how many deliveries the channel's rate weighs.
        rates: f64[7], p, the channel's rate over all recipients, in [0, 1].
        device_factors: f64[4, 7].
        urgency_factors: f64[7], the row of the request's urgency.
        hour_weights: f64[7, 2, 24], by channel, customer type and local hour. Not NaN; a factor is the weight
            over the day's highest, and 0 on a day without any.
        tiers: i64[7], the campaign's priority; an unlisted channel has a tier above all listed ones.
        costs: i64[7], micro-units.
        out_order: u8[n, 7], the candidates in the order to try them, then `NO_CHANNEL`.
        out_value: i64[n, 7], score plus boost of all 7 channels in units of 1e-9, ties to even.

    Raises:
        TypeError: an array is of another dtype, rank or layout.
    """
    _rank(
        now, candidates, customer_type, device, zone, preference_rank, preference_count,
        counts_row, delivered, engaged,
        factor_weights, customer_type_factors, prior_deliveries, rates, device_factors, urgency_factors,
        hour_weights, tiers, costs, *zone_tables(), out_order, out_value,
    )  # fmt: skip
