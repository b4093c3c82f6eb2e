"""When to send: an instant per recipient and channel.

A minute is the UTC second it starts at, and its instant is max(minute, now). It is permitted if its instant
is in the campaign's period, the recipient's local minute of the day is in the send window and, e-mail apart,
outside the recipient's quiet hours. Windows are half-open, may cross midnight, and restrict nothing where
start equals end.

Urgency high takes the first permitted minute. Normal and low look at the local hours of the next 24 and 72
hours: of those with a permitted minute the one of highest weight, of equals the earliest, and in it the
minute that the recipient's spread points at; where there is none, the first permitted minute after.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import INTEGER, column, inlined, inner, kernel, out, whole
from kernels.local_hours import (
    CHANGE_REACH,
    DAY_MINUTES,
    FOREVER,
    HOUR,
    HOURS_MAX,
    MINUTE,
    Hours,
    Permission,
    best_hour,
    bit_at,
    bit_count,
    is_inside,
    is_plain_hour,
    list_hours,
    minute_at_wall,
    window_masks,
)
from kernels.words import CHANNEL_COUNT, EMAIL, HIGH, LOW, NONE, TRANSACTIONAL
from kernels.zones import Clock, clock_from, offset_at, segment_at, zone_tables

_DAY = 86_400


@inner
def _for_email(permission: Permission) -> Permission:
    """The same without quiet hours, which never hold e-mail."""
    return Permission(permission.first_minute, permission.ends_at, permission.window_start, permission.window_end, 0, 0)


@inner
def _wait_minutes(minute_of_day: int, permission: Permission) -> int:
    """0 if window and quiet hours permit the minute of the day, else how long the first of them does not."""
    start, end = permission.window_start, permission.window_end
    if start != end and not is_inside(minute_of_day, start, end):
        return (start - minute_of_day) % DAY_MINUTES
    if is_inside(minute_of_day, permission.quiet_start, permission.quiet_end):
        return (permission.quiet_end - minute_of_day) % DAY_MINUTES
    return 0


@inner
def _first_permitted(clock: Clock, permission: Permission, minute: int) -> int:
    """The first permitted minute from `minute` on; NONE if there is none."""
    segment = segment_at(clock, minute)
    while minute < permission.ends_at:
        change = clock.begins[segment + 1] if segment < clock.last else FOREVER
        waited = 0
        while minute < change and minute < permission.ends_at:
            wait = _wait_minutes((minute + clock.offsets[segment]) // MINUTE % DAY_MINUTES, permission)
            if wait == 0:
                return minute
            waited += wait
            if waited >= DAY_MINUTES:  # no minute of any day is permitted
                return NONE
            minute += wait * MINUTE
        if minute >= change:
            minute = -(-change // MINUTE) * MINUTE
            segment += 1
    return NONE


@inner
def _take_fixed(
    instant: int, clock: Clock, permission: Permission, candidates: int, out_instant: NDArray[np.int64], i: int
) -> None:
    """A time that was asked for: `instant`, where the minute that holds it is permitted."""
    minute = instant // MINUTE * MINUTE
    minute_of_day = (minute + offset_at(clock, minute)) // MINUTE % DAY_MINUTES
    for channel in range(CHANNEL_COUNT):
        if candidates >> channel & 1:
            allowed = _for_email(permission) if channel == EMAIL else permission
            if _wait_minutes(minute_of_day, allowed) == 0:
                out_instant[i, channel] = instant


@inner
def _take_first(
    minute: int, clock: Clock, permission: Permission, candidates: int, out_instant: NDArray[np.int64], i: int
) -> None:
    """The first permitted minute from `minute` on, for each of the candidates."""
    if candidates & 1 << EMAIL:
        out_instant[i, EMAIL] = _first_permitted(clock, _for_email(permission), minute)
    if candidates & ~(1 << EMAIL):
        found = _first_permitted(clock, permission, minute)
        for channel in range(CHANNEL_COUNT):
            if channel != EMAIL and candidates >> channel & 1:
                out_instant[i, channel] = found


@inlined
def _clock_of(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    starts: NDArray[np.int32],
    firsts: NDArray[np.int64],
    zone: int,
) -> Clock:
    """The clock of a zone. Made only where it is needed: what holds arrays counts who has them."""
    return Clock(begins, offsets, firsts[zone], whole(starts[zone + 1]) - 1)


class _Choices(NamedTuple):
    """Hours chosen before in the same call: recipients who share zone, quiet hours and type share them."""

    keys: NDArray[np.int64]
    """[_CHOICES]: whose hours a row has; -1 where it has none yet."""
    walls: NDArray[np.int64]
    """[_CHOICES, 7]: local seconds at which the hour starts."""
    masks: NDArray[np.int64]
    """[_CHOICES, 7]: its permitted minutes; 0 where no hour has any."""
    minutes: NDArray[np.int64]
    """[_CHOICES, 7]: the minute that it starts at; `NONE` where there is no hour, and where a clock changes in it."""


_CHOICES = 2039
"""Rows of `_Choices`; a prime spreads the keys. Where two have the same row, hours are chosen again."""


@inner
def _choose_hours(
    horizon: int,
    clock: Clock,
    permission: Permission,
    window: NDArray[np.int64],
    hours: Hours,
    weights: NDArray[np.float64],
    customer_type: int,
    choices: _Choices,
    choice: int,
) -> None:
    """The best hour of each channel before the horizon."""
    count = list_hours(hours, clock, min(horizon, permission.ends_at), permission, window)
    for channel in range(CHANNEL_COUNT):
        masks = hours.masks[0 if channel == EMAIL else 1]
        best = best_hour(hours.walls, masks, count, weights[channel, customer_type])
        choices.walls[choice, channel] = hours.walls[best] if best >= 0 else 0
        choices.masks[choice, channel] = masks[best] if best >= 0 else 0
        choices.minutes[choice, channel] = NONE
        if best >= 0:
            minute = minute_at_wall(clock, hours.walls[best])
            if is_plain_hour(clock, hours.walls[best], minute):
                choices.minutes[choice, channel] = minute


@inner
def _spread_over(mask: int, spread: np.uint64) -> int:
    """The permitted minute of an hour that a recipient's spread points at."""
    return bit_at(mask, whole(spread % np.uint64(bit_count(mask))))


@inlined
def _take_plain(
    masks: NDArray[np.int64],
    minutes: NDArray[np.int64],
    choice: int,
    spread: np.uint64,
    candidates: int,
    out_instant: NDArray[np.int64],
    i: int,
) -> int:
    """A minute of the hour of `choice` for those candidates of row i whose hour no clock changes; the others."""
    others = 0
    mask, bit = 0, 0  # the last one that was looked at: most channels have the same, for nothing cuts their hours
    for channel in range(CHANNEL_COUNT):
        if candidates >> channel & 1:
            if minutes[choice, channel] == NONE:
                others |= 1 << channel
            else:
                if masks[choice, channel] != mask:
                    mask = masks[choice, channel]
                    bit = _spread_over(mask, spread)
                out_instant[i, channel] = minutes[choice, channel] + bit * MINUTE
    return others


@inner
def _take_chosen(
    horizon: int,
    clock: Clock,
    permission: Permission,
    choices: _Choices,
    choice: int,
    spread: np.uint64,
    candidates: int,
    out_instant: NDArray[np.int64],
    i: int,
) -> None:
    """A minute of the hour of `choice` for each candidate of row i; without one, the first permitted from the horizon
    on."""
    without_hour = 0
    for channel in range(CHANNEL_COUNT):
        if candidates >> channel & 1:
            mask = choices.masks[choice, channel]
            if mask == 0:
                without_hour |= 1 << channel
            else:
                wall = choices.walls[choice, channel] + _spread_over(mask, spread) * MINUTE
                out_instant[i, channel] = minute_at_wall(clock, wall)
    if without_hour:
        after = max(permission.first_minute, -(-horizon // MINUTE) * MINUTE)
        _take_first(after, clock, permission, without_hour, out_instant, i)


@inner
def _take_dates(
    now: int,
    zone: NDArray[np.uint16],
    campaign_clock: Clock,
    firsts: NDArray[np.int64],
    starts: NDArray[np.int32],
    out_instant: NDArray[np.int64],
    out_day: NDArray[np.int32],
    out_offset: NDArray[np.int16],
) -> None:
    """Makes minutes instants, and takes the campaign's day and the recipient's offset of each."""
    begins, offsets = campaign_clock.begins, campaign_clock.offsets
    day, day_begins, day_ends = 0, 0, 0  # the last one that was looked up: nearly all instants are in one or two
    for i in range(out_instant.shape[0]):
        first, last = firsts[zone[i]], whole(starts[zone[i] + 1]) - 1
        offset = whole(offsets[first]) // MINUTE
        change = begins[first + 1] if first < last else FOREVER
        for channel in range(CHANNEL_COUNT):
            out_day[i, channel] = 0
            out_offset[i, channel] = 0
            if out_instant[i, channel] != NONE:
                instant = max(out_instant[i, channel], now)
                out_instant[i, channel] = instant
                if not day_begins <= instant < day_ends:
                    segment = segment_at(campaign_clock, instant)
                    local = whole(offsets[segment])
                    day = (instant + local) // _DAY
                    day_begins = max(begins[segment], day * _DAY - local)
                    day_ends = (day + 1) * _DAY - local
                    if segment < campaign_clock.last:
                        day_ends = min(day_ends, begins[segment + 1])
                out_day[i, channel] = day
                if instant < change:
                    out_offset[i, channel] = offset
                else:
                    out_offset[i, channel] = offset_at(Clock(begins, offsets, first, last), instant) // MINUTE


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
    first_minute = now // MINUTE * MINUTE if now >= starts_at else -(-starts_at // MINUTE) * MINUTE
    horizon = now + (72 if mode == LOW else 24) * HOUR
    window = window_masks(window_start, window_end)
    hours = Hours(np.empty(HOURS_MAX, np.int64), np.empty((2, HOURS_MAX), np.int64))
    choices = _Choices(
        np.full(_CHOICES, -1, np.int64),
        np.empty((_CHOICES, CHANNEL_COUNT), np.int64),
        np.empty((_CHOICES, CHANNEL_COUNT), np.int64),
        np.empty((_CHOICES, CHANNEL_COUNT), np.int64),
    )
    zone_count = starts.shape[0] - 1
    campaign_clock = clock_from(begins, offsets, starts, campaign_zone, now)
    firsts = np.full(zone_count, -1, np.int64)
    keys, masks, minutes = choices.keys, choices.masks, choices.minutes
    for i in range(candidates.shape[0]):
        for channel in range(CHANNEL_COUNT):
            out_instant[i, channel] = NONE
        channels = whole(candidates[i])
        own = whole(zone[i])
        if firsts[own] < 0:
            firsts[own] = clock_from(begins, offsets, starts, own, first_minute - CHANGE_REACH).first
        permission = Permission(
            first_minute, ends_at, window_start, window_end, whole(quiet_start[i]), whole(quiet_end[i])
        )
        if now >= ends_at:
            pass
        elif mode == TRANSACTIONAL or send_at != NONE:
            if mode == TRANSACTIONAL:
                permission = Permission(first_minute, ends_at, 0, 0, 0, 0)
            if starts_at <= asked < ends_at:
                clock = _clock_of(begins, offsets, starts, firsts, own)
                _take_fixed(asked, clock, permission, channels, out_instant, i)
        elif mode == HIGH:
            clock = _clock_of(begins, offsets, starts, firsts, own)
            _take_first(first_minute, clock, permission, channels, out_instant, i)
        else:
            customer = whole(customer_type[i])
            key = permission.quiet_start * DAY_MINUTES + permission.quiet_end
            key = (key * 2 + customer) * zone_count + own
            choice = key % _CHOICES
            if keys[choice] != key:
                keys[choice] = key
                clock = _clock_of(begins, offsets, starts, firsts, own)
                _choose_hours(horizon, clock, permission, window, hours, weights, customer, choices, choice)
            others = _take_plain(masks, minutes, choice, spread[i], channels, out_instant, i)
            if others:
                clock = _clock_of(begins, offsets, starts, firsts, own)
                _take_chosen(horizon, clock, permission, choices, choice, spread[i], others, out_instant, i)
    _take_dates(now, zone, campaign_clock, firsts, starts, out_instant, out_day, out_offset)


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
        mode: `TRANSACTIONAL`, `HIGH`, `NORMAL` or `LOW`. Transactional goes at max(send_at, now) and only the
            period can forbid it.
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
        out_day: i32[n, 7], days since 1970-01-01 of the instant's date in the campaign's zone; 0 without one.
        out_offset: i16[n, 7], minutes east of UTC of the recipient at the instant; 0 without one.

    Raises:
        TypeError: an array is of another dtype, rank or layout.
    """
    _send_times(
        now, mode, send_at, candidates, zone, quiet_start, quiet_end, customer_type, spread, weights,
        window_start, window_end, starts_at, ends_at, campaign_zone, *zone_tables(),
        out_instant, out_day, out_offset,
    )  # fmt: skip
