"""Local hours as bit masks: which of the 60 wall-clock minutes of an hour may be used.

Bit b of the mask of an hour stands for its wall-clock minute b. Where no clock changes nearby a mask is
arithmetic on the ends of intervals; an hour that a clock change touches is walked minute by minute. A wall
time that is skipped stands for the first minute after the gap, one that comes twice for its first occurrence.

Intervals of the day are half-open minutes [start, end) and may cross midnight.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inner
from kernels.words import NONE
from kernels.zones import segment_at

MINUTE = 60
HOUR = 3_600
DAY = 86_400
DAY_MINUTES = 1_440
WHOLE_HOUR = (1 << 60) - 1
FOREVER = 2**62

CHANGE_REACH = 90_000
"""Seconds after a clock change in which local times may repeat: no zone was ever set back by more than a day
and 21 minutes."""

HOURS_MAX = 160
"""More local hours than 72 hours can touch, with a day skipped and another one repeated among them."""


@inner
def is_inside(minute_of_day: int, start: int, end: int) -> bool:
    """Whether [start, end) of the day, which may cross midnight, holds the minute; nothing where they are equal."""
    if start <= end:
        return start <= minute_of_day < end
    return minute_of_day >= start or minute_of_day < end


@inner
def _minutes_below(end: int) -> int:
    """The mask of the minutes [0, end), end cut to [0, 60]."""
    return (1 << min(max(end, 0), 60)) - 1


@inner
def hour_mask(hour: int, start: int, end: int) -> int:
    """The mask of those minutes of the hour of the day that `is_inside` holds."""
    below_start = _minutes_below(start - 60 * hour)
    below_end = _minutes_below(end - 60 * hour)
    if start <= end:
        return below_end & ~below_start
    return below_end | (WHOLE_HOUR & ~below_start)


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


@inner
def first_at_wall(
    begins: NDArray[np.int64], offsets: NDArray[np.int32], segment: int, last_segment: int, wall: int
) -> int:
    """The minute of the first instant, from `segment` on, at which clocks have reached the wall time.

    That is the first occurrence of a wall time that exists, and the end of the gap for one that is skipped.
    """
    while segment < last_segment and wall >= begins[segment + 1] + offsets[segment]:
        segment += 1
    return max(begins[segment], wall - offsets[segment]) // MINUTE * MINUTE


@inner
def _within(mask: int, first: int, lower: int, upper: int) -> int:
    """Those minutes of an hour under way from `first` on that start in [lower, upper)."""
    if first < lower:
        mask &= ~_minutes_below((lower - first) // MINUTE)
    if first + HOUR > upper:
        mask &= _minutes_below(-((first - upper) // MINUTE))
    return mask


@inner
def list_hours(
    offset: int,
    lower: int,
    upper: int,
    window_masks: NDArray[np.int64],
    quiet_start: int,
    quiet_end: int,
    walls: NDArray[np.int64],
    masks: NDArray[np.int64],
) -> int:
    """Lists the local hours of the minutes [lower, upper), where one offset holds; returns how many.

    Writes to `walls` the local seconds each starts at, and to `masks` its permitted minutes for e-mail (row 0)
    and for the other channels (row 1). The list ends where the number of its first hour, which may be half
    over, comes round: what an hour lacks, those of the same number on later days lack too.
    """
    wall = (lower + offset) // HOUR * HOUR
    hour = wall // HOUR % 24
    count = 0
    while count <= 24 and wall - offset < upper:
        mask = _within(window_masks[hour], wall - offset, lower, upper)
        walls[count] = wall
        masks[0, count] = mask
        masks[1, count] = mask & ~hour_mask(hour, quiet_start, quiet_end)
        count += 1
        wall += HOUR
        hour = hour + 1 if hour < 23 else 0
    return count


@inner
def _walk_hour(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    first_segment: int,
    last_segment: int,
    wall: int,
    lower: int,
    upper: int,
    window_masks: NDArray[np.int64],
    quiet_start: int,
    quiet_end: int,
) -> tuple[int, int]:
    """The masks of the local hour at `wall`, for e-mail and for the other channels, minute by minute.

    A minute that a clock change moved is judged at the local time it moved to, and counted once.
    """
    for_email = 0
    for_others = 0
    before = NONE
    for bit in range(60):
        minute = first_at_wall(begins, offsets, first_segment, last_segment, wall + bit * MINUTE)
        if lower <= minute < upper and minute != before:
            segment = segment_at(begins, first_segment, last_segment + 1, minute)
            minute_of_day = (minute + offsets[segment]) // MINUTE % DAY_MINUTES
            if window_masks[minute_of_day // 60] >> (minute_of_day % 60) & 1:
                for_email |= 1 << bit
                if not is_inside(minute_of_day, quiet_start, quiet_end):
                    for_others |= 1 << bit
        before = minute
    return for_email, for_others


@inner
def list_hours_at_change(
    begins: NDArray[np.int64],
    offsets: NDArray[np.int32],
    first_segment: int,
    last_segment: int,
    lower: int,
    upper: int,
    window_masks: NDArray[np.int64],
    quiet_start: int,
    quiet_end: int,
    walls: NDArray[np.int64],
    masks: NDArray[np.int64],
) -> int:
    """`list_hours` where clocks change: every local hour that has a minute in [lower, upper), skipped ones too.

    `first_segment` is the one that held `CHANGE_REACH` before `lower`.
    """
    wall = lower + offsets[first_segment]
    segment = first_segment
    while segment < last_segment and begins[segment + 1] <= lower:
        segment += 1
        wall = min(wall, lower + offsets[segment])
    wall = wall // HOUR * HOUR
    count = 0
    while count < HOURS_MAX:
        first = first_at_wall(begins, offsets, first_segment, last_segment, wall)
        if first >= upper:
            break
        segment = segment_at(begins, first_segment, last_segment + 1, first)
        change = begins[segment + 1] if segment < last_segment else FOREVER
        if first + offsets[segment] == wall and first + HOUR <= change:
            hour = wall // HOUR % 24
            mask = _within(window_masks[hour], first, lower, upper)
            masks[0, count] = mask
            masks[1, count] = mask & ~hour_mask(hour, quiet_start, quiet_end)
        else:
            masks[0, count], masks[1, count] = _walk_hour(
                begins, offsets, first_segment, last_segment, wall, lower, upper, window_masks, quiet_start, quiet_end
            )
        walls[count] = wall
        count += 1
        wall += HOUR
    return count


@inner
def best_hour(
    walls: NDArray[np.int64], masks: NDArray[np.int64], count: int, weights: NDArray[np.float64]
) -> int:
    """The listed hour of highest weight, of equals the first, among those with a permitted minute; -1 if none."""
    best = -1
    best_weight = 0.0
    for listed in range(count):
        if masks[listed] != 0:
            weight = weights[walls[listed] // HOUR % 24]
            if best < 0 or weight > best_weight:
                best = listed
                best_weight = weight
    return best
