"""When to send: an instant per recipient and channel.

A minute is the UTC second it starts at, and its instant is max(minute, now). It is permitted if its instant is
in the campaign's period, the recipient's local minute of the day is in the send window and, e-mail apart,
outside the recipient's quiet hours. Windows are half-open, may cross midnight, and restrict nothing where
start equals end.

Urgency high takes the first permitted minute. Normal and low look at the local hours of the next 24 and 72
hours: of those with a permitted minute the one of highest weight, of equals the earliest, and in it the minute
that the recipient's spread points at; where there is none, the first permitted minute after.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import INTEGER, column, inner, kernel, out
from kernels.local_hours import (
    CHANGE_REACH,
    DAY,
    DAY_MINUTES,
    FOREVER,
    HOUR,
    HOURS_MAX,
    MINUTE,
    WHOLE_HOUR,
    best_hour,
    bit_at,
    bit_count,
    first_at_wall,
    hour_mask,
    is_inside,
    list_hours,
    list_hours_at_change,
)
from kernels.words import CHANNEL_COUNT, EMAIL, HIGH, LOW, NONE, TRANSACTIONAL
from kernels.zones import segment_at, zone_tables


@inner
def _is_permitted(minute_of_day: int, window_start: int, window_end: int, quiet_start: int, quiet_end: int) -> bool:
    in_window = window_start == window_end or is_inside(minute_of_day, window_start, window_end)
    return in_window and not is_inside(minute_of_day, quiet_start, quiet_end)


@inner
def _first_permitted(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    segment: int,
    last_segment: int,
    minute: int,
    ends_at: int,
    window_start: int,
    window_end: int,
    quiet_start: int,
    quiet_end: int,
) -> int:
    """The first permitted minute from `minute` on, before `ends_at`; NONE if there is none."""
    while minute < ends_at:
        while segment < last_segment and begins[segment + 1] <= minute:
            segment += 1
        change = begins[segment + 1] if segment < last_segment else FOREVER
        minute_of_day = (minute + offsets[segment]) // MINUTE % DAY_MINUTES
        waited = 0
        while minute < change and minute < ends_at:
            if window_start != window_end and not is_inside(minute_of_day, window_start, window_end):
                step = (window_start - minute_of_day) % DAY_MINUTES
            elif is_inside(minute_of_day, quiet_start, quiet_end):
                step = (quiet_end - minute_of_day) % DAY_MINUTES
            else:
                return minute
            waited += step
            if waited >= DAY_MINUTES:  # no minute of any day is permitted
                return NONE
            minute += step * MINUTE
            minute_of_day = (minute_of_day + step) % DAY_MINUTES
        if minute >= change:
            minute = -(-change // MINUTE) * MINUTE
    return NONE


@inner
def _take_fixed(
    instant: int,
    offset: int,
    candidates: int,
    window_start: int,
    window_end: int,
    quiet_start: int,
    quiet_end: int,
    out_instant: NDArray[np.int64],
) -> None:
    """A time that was asked for: `instant` where the minute that holds it is permitted."""
    minute_of_day = (instant // MINUTE * MINUTE + offset) // MINUTE % DAY_MINUTES
    for channel in range(CHANNEL_COUNT):
        quiet_until = quiet_start if channel == EMAIL else quiet_end
        if candidates >> channel & 1 and _is_permitted(
            minute_of_day, window_start, window_end, quiet_start, quiet_until
        ):
            out_instant[channel] = instant


@inner
def _take_first(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    segment: int,
    last_segment: int,
    candidates: int,
    minute: int,
    ends_at: int,
    window_start: int,
    window_end: int,
    quiet_start: int,
    quiet_end: int,
    out_instant: NDArray[np.int64],
) -> None:
    """The first permitted minute from `minute` on, for each of the candidates."""
    if candidates & 1 << EMAIL:
        out_instant[EMAIL] = _first_permitted(
            begins, offsets, segment, last_segment, minute, ends_at, window_start, window_end, 0, 0
        )
    if candidates & ~(1 << EMAIL):
        found = _first_permitted(
            begins, offsets, segment, last_segment, minute, ends_at, window_start, window_end, quiet_start, quiet_end
        )
        for channel in range(EMAIL + 1, CHANNEL_COUNT):
            if candidates >> channel & 1:
                out_instant[channel] = found


@inner
def _take_best_hours(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    first_segment: int,
    last_segment: int,
    candidates: int,
    walls: NDArray[np.int64],
    masks: NDArray[np.int64],
    listed: int,
    weights: NDArray[np.float64],
    customer_type: int,
    spread: np.uint64,
    out_instant: NDArray[np.int64],
) -> int:
    """A minute of the best of the listed hours for each candidate; returns the mask of those without any."""
    without = 0
    for channel in range(CHANNEL_COUNT):
        if candidates >> channel & 1:
            row = masks[0 if channel == EMAIL else 1]
            best = best_hour(walls, row, listed, weights[channel, customer_type])
            if best < 0:
                without |= 1 << channel
            else:
                rank = np.int64(spread % np.uint64(bit_count(row[best])))
                wall = walls[best] + bit_at(row[best], rank) * MINUTE
                out_instant[channel] = first_at_wall(begins, offsets, first_segment, last_segment, wall)
    return without


@inner
def _take_hours(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    low: int,
    segment: int,
    last_segment: int,
    candidates: int,
    lower: int,
    horizon: int,
    ends_at: int,
    window_masks: NDArray[np.int64],
    window_start: int,
    window_end: int,
    quiet_start: int,
    quiet_end: int,
    walls: NDArray[np.int64],
    masks: NDArray[np.int64],
    weights: NDArray[np.float64],
    customer_type: int,
    spread: np.uint64,
    out_instant: NDArray[np.int64],
) -> None:
    """A minute of the best hour before `horizon` for each candidate, else the first permitted one after it."""
    upper = min(horizon, ends_at)
    before = segment_at(begins, low, last_segment + 1, lower - CHANGE_REACH)
    if before == segment and (segment == last_segment or begins[segment + 1] >= upper):
        listed = list_hours(offsets[segment], lower, upper, window_masks, quiet_start, quiet_end, walls, masks)
    else:
        listed = list_hours_at_change(
            begins, offsets, before, last_segment, lower, upper, window_masks, quiet_start, quiet_end, walls, masks
        )
    without = _take_best_hours(
        begins, offsets, before, last_segment, candidates,
        walls, masks, listed, weights, customer_type, spread, out_instant,
    )  # fmt: skip
    if without:
        after = max(lower, -(-horizon // MINUTE) * MINUTE)
        _take_first(
            begins, offsets, segment, last_segment, without, after, ends_at,
            window_start, window_end, quiet_start, quiet_end, out_instant,
        )  # fmt: skip


@inner
def _offset_at(
    begins: NDArray[np.int64], offsets: NDArray[np.int32], low: int, high: int, guess: int, instant: int
) -> int:
    """The offset at `instant` of the zone with the segments [low, high); quick where `guess` is its segment."""
    if begins[guess] > instant or (guess + 1 < high and begins[guess + 1] <= instant):
        guess = segment_at(begins, low, high, instant)
    return np.int64(offsets[guess])


@inner
def _window_masks(window_start: int, window_end: int) -> NDArray[np.int64]:
    masks = np.empty(24, np.int64)
    for hour in range(24):
        masks[hour] = WHOLE_HOUR if window_start == window_end else hour_mask(hour, window_start, window_end)
    return masks


@kernel(
    INTEGER, INTEGER, INTEGER,
    column("uint8"), column("uint16"), column("int16"), column("int16"), column("uint8"), column("uint64"),
    column("float64", 3), INTEGER, INTEGER, INTEGER, INTEGER, INTEGER,
    column("int64"), column("int32"), column("int32"),
    out("int64", 2), out("int32", 2), out("int16", 2),
)  # fmt: skip
def _send_times(
    now: int, mode: int, send_at: int,
    candidates: NDArray[np.uint8], zone: NDArray[np.uint16],
    quiet_start: NDArray[np.int16], quiet_end: NDArray[np.int16],
    customer_type: NDArray[np.uint8], spread: NDArray[np.uint64], weights: NDArray[np.float64],
    window_start: int, window_end: int, starts_at: int, ends_at: int, campaign_zone: int,
    begins: NDArray[np.int64], offsets: NDArray[np.int32], starts: NDArray[np.int32],
    out_instant: NDArray[np.int64], out_day: NDArray[np.int32], out_offset: NDArray[np.int16],
) -> None:  # fmt: skip
    ends_at = FOREVER if ends_at == NONE else ends_at
    asked = max(send_at, now)
    lower = now // MINUTE * MINUTE if now >= starts_at else -(-starts_at // MINUTE) * MINUTE
    horizon = now + (72 if mode == LOW else 24) * HOUR
    window_masks = _window_masks(window_start, window_end)
    walls = np.empty(HOURS_MAX, np.int64)
    masks = np.empty((2, HOURS_MAX), np.int64)
    campaign_low = np.int64(starts[campaign_zone])
    campaign_high = np.int64(starts[campaign_zone + 1])
    campaign_segment = segment_at(begins, campaign_low, campaign_high, now)
    for i in range(candidates.shape[0]):
        instants = out_instant[i]
        instants[:] = NONE
        channels = np.int64(candidates[i])
        low = np.int64(starts[zone[i]])
        last = np.int64(starts[zone[i] + 1]) - 1
        segment = segment_at(begins, low, last + 1, lower)
        quiet_from = np.int64(quiet_start[i])
        quiet_to = np.int64(quiet_end[i])
        if mode == TRANSACTIONAL or send_at != NONE:
            if starts_at <= asked < ends_at:
                offset = _offset_at(begins, offsets, low, last + 1, segment, asked // MINUTE * MINUTE)
                if mode == TRANSACTIONAL:
                    _take_fixed(asked, offset, channels, 0, 0, 0, 0, instants)
                else:
                    _take_fixed(asked, offset, channels, window_start, window_end, quiet_from, quiet_to, instants)
        elif now < ends_at and mode == HIGH:
            _take_first(
                begins, offsets, segment, last, channels, lower, ends_at,
                window_start, window_end, quiet_from, quiet_to, instants,
            )  # fmt: skip
        elif now < ends_at:
            _take_hours(
                begins, offsets, low, segment, last, channels, lower, horizon, ends_at,
                window_masks, window_start, window_end, quiet_from, quiet_to,
                walls, masks, weights, np.int64(customer_type[i]), spread[i], instants,
            )  # fmt: skip
        for channel in range(CHANNEL_COUNT):
            if instants[channel] == NONE:
                out_day[i, channel] = 0
                out_offset[i, channel] = 0
            else:
                instant = max(instants[channel], now)
                day_offset = _offset_at(begins, offsets, campaign_low, campaign_high, campaign_segment, instant)
                instants[channel] = instant
                out_day[i, channel] = (instant + day_offset) // DAY
                out_offset[i, channel] = _offset_at(begins, offsets, low, last + 1, segment, instant) // MINUTE


def send_times(
    now: int,
    mode: int,
    send_at: int,
    candidates: NDArray[np.uint8],
    zone: NDArray[np.uint16],
    quiet_start: NDArray[np.int16],
    quiet_end: NDArray[np.int16],
    customer_type: NDArray[np.uint8],
    spread: NDArray[np.uint64],
    weights: NDArray[np.float64],
    window_start: int,
    window_end: int,
    starts_at: int,
    ends_at: int,
    campaign_zone: int,
    out_instant: NDArray[np.int64],
    out_day: NDArray[np.int32],
    out_offset: NDArray[np.int16],
) -> None:
    """Finds when each of n recipients can get the message on each of the 7 channels.

    All arrays are C-contiguous. They may be read-only but for the three that are written. Indices are not
    checked: a zone, customer type or array length out of range is undefined behaviour.

    Args:
        now: whole seconds since the epoch, as all instants.
        mode: `TRANSACTIONAL`, `HIGH`, `NORMAL` or `LOW`. Transactional goes at max(send_at, now) and knows the
            period alone.
        send_at: the instant asked for, kept to the second and `now` if past; `NONE` to choose one.
        candidates: u8[n], bit c set = channel c is looked at.
        zone: u16[n], index into `ZONE_NAMES`.
        quiet_start, quiet_end: i16[n], minutes of the local day [start, end), defaults filled in.
        customer_type: u8[n], 0 new, 1 existing.
        spread: u64[n], the hash that places a recipient within the chosen hour.
        weights: f64[7, 2, 24], by channel, customer type and local hour. Not NaN.
        window_start, window_end: minutes of the recipient's local day [start, end).
        starts_at, ends_at: the period [starts_at, ends_at) of the campaign; `NONE` = open.
        campaign_zone: index into `ZONE_NAMES`.
        out_instant: i64[n, 7], `NONE` where the channel is no candidate or has no permitted minute.
        out_day: i32[n, 7], days since 1970-01-01 of the campaign-zone local date of the instant; 0 without one.
        out_offset: i16[n, 7], minutes east of UTC of the recipient at the instant; 0 without one.

    Raises:
        TypeError: an array is of another dtype, rank or layout.
    """
    _send_times(
        now, mode, send_at, candidates, zone, quiet_start, quiet_end, customer_type, spread, weights,
        window_start, window_end, starts_at, ends_at, campaign_zone, *zone_tables(),
        out_instant, out_day, out_offset,
    )  # fmt: skip
