"""Local hours as bit masks: which of the 60 wall-clock minutes of an hour may be used.

Bit b of the mask of an hour stands for its wall-clock minute b. Where no clock changes nearby a mask is
arithmetic on the ends of intervals; an hour that a clock change touches is walked minute by minute. A wall
time that is skipped stands for the first minute after the gap, one that comes twice for its first occurrence.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, inner, whole
from kernels.words import NONE
from kernels.zones import Clock, offset_at, segment_at

MINUTE = 60
HOUR = 3_600
DAY_MINUTES = 1_440
WHOLE_HOUR = (1 << 60) - 1
FOREVER = 2**62

CHANGE_REACH = 90_000
"""Seconds after a clock change in which local times may repeat: no zone was ever set back by more than a day
and 21 minutes."""

HOURS_MAX = 160
"""More local hours than 72 hours can touch, with a day skipped and another one repeated among them."""


class Permission(NamedTuple):
    """When someone may be reached. Windows are half-open minutes of the local day and may cross midnight."""

    first_minute: int
    """The earliest minute, in seconds since the epoch."""
    ends_at: int
    """Instants from here on are too late; `FOREVER` where there is no end."""
    window_start: int
    window_end: int
    quiet_start: int
    quiet_end: int


class Hours(NamedTuple):
    """Room for `HOURS_MAX` local hours, in order."""

    walls: NDArray[np.int64]
    """Local seconds each starts at."""
    masks: NDArray[np.int64]
    """[2, HOURS_MAX]: its permitted minutes, in row 0 for e-mail, in row 1 for the other channels."""


@inner
def is_inside(minute_of_day: int, start: int, end: int) -> bool:
    """Whether [start, end) of the day, which may cross midnight, holds the minute; empty if start == end."""
    if start <= end:
        return start <= minute_of_day < end
    return minute_of_day >= start or minute_of_day < end


@inner
def _minutes_below(end: int) -> int:
    """The mask of the minutes [0, end), end cut to [0, 60]."""
    return (1 << min(max(end, 0), 60)) - 1


@inner
def _hour_mask(hour: int, start: int, end: int) -> int:
    """The mask of those minutes of the hour of the day that `is_inside` holds."""
    below_start = _minutes_below(start - 60 * hour)
    below_end = _minutes_below(end - 60 * hour)
    if start <= end:
        return below_end & ~below_start
    return below_end | (WHOLE_HOUR & ~below_start)


@inner
def window_masks(start: int, end: int) -> NDArray[np.int64]:
    """The masks of the 24 hours of the day for a send window."""
    masks = np.empty(24, np.int64)
    for hour in range(24):
        masks[hour] = WHOLE_HOUR if start == end else _hour_mask(hour, start, end)
    return masks


@inner
def bit_count(mask: int) -> int:
    """How many of the 60 bits are set."""
    mask = mask - ((mask >> 1) & 0x5555555555555555)
    mask = (mask & 0x3333333333333333) + ((mask >> 2) & 0x3333333333333333)
    mask = (mask + (mask >> 4)) & 0x0F0F0F0F0F0F0F0F
    mask += mask >> 8
    mask += mask >> 16
    mask += mask >> 32
    return mask & 0x7F


@inner
def bit_at(mask: int, rank: int) -> int:
    """The position of the set bit that has `rank` set bits below it."""
    if mask == WHOLE_HOUR:
        return rank
    position = 0
    width = 32
    while width > 0:
        low = mask & ((1 << width) - 1)
        count = bit_count(low)
        if rank < count:
            mask = low
        else:
            rank -= count
            mask >>= width
            position += width
        width >>= 1
    return position


@inlined
def minute_at_wall(clock: Clock, wall: int) -> int:
    """The minute of the first instant of the clock at which it has reached a wall time.

    That is the first occurrence of a wall time that exists, and the end of the gap for one that is skipped.
    """
    segment = clock.first
    while segment < clock.last and wall >= clock.begins[segment + 1] + clock.offsets[segment]:
        segment += 1
    return whole(max(clock.begins[segment], wall - clock.offsets[segment]) // MINUTE * MINUTE)


@inner
def is_plain_hour(clock: Clock, wall: int, minute: int) -> bool:
    """Whether no clock change moves any minute of the local hour at `wall`, which starts at `minute`."""
    segment = segment_at(clock, minute)
    change = clock.begins[segment + 1] if segment < clock.last else FOREVER
    return bool(minute + clock.offsets[segment] == wall and minute + HOUR <= change)


@inner
def _put_hour(
    hours: Hours,
    place: int,
    wall: int,
    minute: int,
    upper: int,
    permission: Permission,
    window: NDArray[np.int64],
) -> None:
    """Writes the local hour at `wall` that runs from `minute` on without a clock change."""
    hour = wall // HOUR % 24
    mask = window[hour]
    if minute < permission.first_minute:
        mask &= ~_minutes_below((permission.first_minute - minute) // MINUTE)
    if minute + HOUR > upper:
        mask &= _minutes_below(-((minute - upper) // MINUTE))
    hours.walls[place] = wall
    hours.masks[0, place] = mask
    hours.masks[1, place] = mask & ~_hour_mask(hour, permission.quiet_start, permission.quiet_end)


@inner
def _walk_hour(
    hours: Hours,
    place: int,
    wall: int,
    clock: Clock,
    upper: int,
    permission: Permission,
    window: NDArray[np.int64],
) -> None:
    """Writes the local hour at `wall`, minute by minute.

    A minute that a clock change moved is judged at the local time it moved to, and counted once.
    """
    for_email = 0
    for_others = 0
    before = NONE
    for bit in range(60):
        minute = minute_at_wall(clock, wall + bit * MINUTE)
        if permission.first_minute <= minute < upper and minute != before:
            minute_of_day = (minute + offset_at(clock, minute)) // MINUTE % DAY_MINUTES
            if window[minute_of_day // 60] >> (minute_of_day % 60) & 1:
                for_email |= 1 << bit
                if not is_inside(minute_of_day, permission.quiet_start, permission.quiet_end):
                    for_others |= 1 << bit
        before = minute
    hours.walls[place] = wall
    hours.masks[0, place] = for_email
    hours.masks[1, place] = for_others


@inner
def _list_plain_hours(hours: Hours, clock: Clock, upper: int, permission: Permission, window: NDArray[np.int64]) -> int:
    """`list_hours` where the first offset of the clock holds throughout.

    The list ends where the number of its first hour, which may be half over, comes round: what an hour lacks,
    those of the same number on later days lack too.
    """
    offset = clock.offsets[clock.first]
    wall = (permission.first_minute + offset) // HOUR * HOUR
    count = 0
    while count <= 24 and wall - offset < upper:
        _put_hour(hours, count, wall, wall - offset, upper, permission, window)
        count += 1
        wall += HOUR
    return count


@inner
def list_hours(hours: Hours, clock: Clock, upper: int, permission: Permission, window: NDArray[np.int64]) -> int:
    """Lists the local hours that have a minute in [permission.first_minute, upper), and returns how many.

    Args:
        hours: written to; hours without a permitted minute may be among them, and skipped ones are.
        clock: from `CHANGE_REACH` before the first minute on.
        upper: not after permission.ends_at.
        permission: as the masks shall be.
        window: the `window_masks` of the permission.
    """
    first_minute = permission.first_minute
    if clock.first == clock.last or clock.begins[clock.first + 1] >= upper:
        return _list_plain_hours(hours, clock, upper, permission, window)
    segment = clock.first
    wall = first_minute + clock.offsets[segment]
    while segment < clock.last and clock.begins[segment + 1] <= first_minute:
        segment += 1
        wall = min(wall, first_minute + clock.offsets[segment])
    wall = wall // HOUR * HOUR
    count = 0
    while count < HOURS_MAX:
        minute = minute_at_wall(clock, wall)
        if minute >= upper:
            break
        if is_plain_hour(clock, wall, minute):
            _put_hour(hours, count, wall, minute, upper, permission, window)
        else:
            _walk_hour(hours, count, wall, clock, upper, permission, window)
        count += 1
        wall += HOUR
    return count


@inner
def best_hour(walls: NDArray[np.int64], masks: NDArray[np.int64], count: int, weights: NDArray[np.float64]) -> int:
    """The place of the hour of highest weight, of equals the first, with a permitted minute; -1 if none."""
    best = -1
    best_weight = 0.0
    for place in range(count):
        if masks[place] != 0:
            weight = weights[walls[place] // HOUR % 24]
            if best < 0 or weight > best_weight:
                best = place
                best_weight = weight
    return best
