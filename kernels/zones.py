"""Local time: the transition tables of every zone that pytz knows, as flat arrays.

pytz is the one source of zones, so its rounding holds here too: offsets are whole minutes. Its tables end in
2037; later instants keep the last offset, as they do in pytz.
"""

import datetime
import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytz  # type: ignore[import-untyped]
from numpy.typing import NDArray

from kernels.jit import inner, whole

ZONE_NAMES: tuple[str, ...] = tuple(sorted(pytz.all_timezones))
ZONE_INDEX: dict[str, int] = {name: index for index, name in enumerate(ZONE_NAMES)}

BEGINNING = -(2**63)
"""The instant from which a zone's first offset holds."""


class ZoneTables(NamedTuple):
    """Segments of constant offset, zone after zone.

    Segment j holds in the half-open span [begins[j], begins[j + 1]), the last of a zone for ever.
    """

    begins: NDArray[np.int64]
    """Seconds since the epoch; `BEGINNING` in the first segment of each zone."""
    offsets: NDArray[np.int32]
    """Seconds east of UTC, each a multiple of 60 and different from the one before it in the same zone."""
    starts: NDArray[np.int32]
    """One more than there are zones: the segments of zone z are [starts[z], starts[z + 1])."""


def _segments(name: str) -> Iterator[tuple[int, int]]:
    zone = pytz.timezone(name)
    if not hasattr(zone, "_utc_transition_times"):
        yield BEGINNING, int(zone.utcoffset(datetime.datetime(2000, 1, 1)).total_seconds())
        return
    instants = np.array(zone._utc_transition_times, "datetime64[s]").astype(np.int64).tolist()
    instants[0] = BEGINNING
    before = None
    for instant, information in zip(instants, zone._transition_info, strict=True):
        offset = information[0].days * 86_400 + information[0].seconds
        if offset != before:  # a change of name or of the summer time flag alone changes no clock
            yield instant, offset
        before = offset


@functools.cache
def zone_tables() -> ZoneTables:
    """The tables of all zones in the order of `ZONE_NAMES`, built at the first call, read-only.

    Almost half the names are other names of a zone; each zone is read once, or every process would start 0.2 s later.
    """
    begins: list[int] = []
    offsets: list[int] = []
    starts = [0]
    by_content: dict[bytes, list[tuple[int, int]]] = {}
    for name in ZONE_NAMES:
        with pytz.open_resource(name) as file:
            content = file.read()
        if content not in by_content:
            by_content[content] = list(_segments(name))
        for instant, offset in by_content[content]:
            begins.append(instant)
            offsets.append(offset)
        starts.append(len(begins))
    tables = ZoneTables(np.array(begins, np.int64), np.array(offsets, np.int32), np.array(starts, np.int32))
    for table in tables:
        table.flags.writeable = False
    return tables


def local_offset(zone: int, instants: NDArray[np.int64]) -> NDArray[np.int32]:
    """Seconds east of UTC of one zone at each instant (seconds since the epoch), in the shape of `instants`.

    Raises `IndexError` for a zone that is not an index into `ZONE_NAMES`.
    """
    if not 0 <= zone < len(ZONE_NAMES):
        raise IndexError(f"zone {zone} is not in [0, {len(ZONE_NAMES)})")
    begins, offsets, starts = zone_tables()
    segments = slice(starts[zone], starts[zone + 1])
    found: NDArray[np.int32] = offsets[segments][np.searchsorted(begins[segments], instants, "right") - 1]
    return found


class Clock(NamedTuple):
    """The segments [first, last] of one zone: its local time from some instant on."""

    begins: NDArray[np.int64]
    offsets: NDArray[np.int32]
    first: int
    last: int


@inner
def _segment_at(begins: NDArray[np.int64], low: int, high: int, instant: int) -> int:
    """The segment of [low, high) that holds `instant`; the first must begin at or before it."""
    while high - low > 1:
        middle = (low + high) // 2
        if begins[middle] <= instant:
            low = middle
        else:
            high = middle
    return low


@inner
def clock_from(
    begins: NDArray[np.int64], offsets: NDArray[np.int32], starts: NDArray[np.int32], zone: int, instant: int
) -> Clock:
    """The clock of a zone from `instant` on."""
    high = whole(starts[zone + 1])
    first = _segment_at(begins, whole(starts[zone]), high, instant)
    return Clock(begins, offsets, first, high - 1)


@inner
def segment_at(clock: Clock, instant: int) -> int:
    """The segment that holds an instant not before those of the clock."""
    if clock.first == clock.last or clock.begins[clock.first + 1] > instant:
        return clock.first
    return _segment_at(clock.begins, clock.first, clock.last + 1, instant)


@inner
def offset_at(clock: Clock, instant: int) -> int:
    """Seconds east of UTC at an instant not before those of the clock."""
    return whole(clock.offsets[segment_at(clock, instant)])
