"""Local time on a path of its own: `zoneinfo` on the files of the `tzdata` package, and a walk minute by minute.

Nothing here knows pytz, the kernels or their tables. `zoneinfo` would read the system's files first, so each zone is
read from the package's own. Instants are seconds since the epoch; a minute is known by the instant it begins at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

MINUTE, HOUR, DAY = 60, 3600, 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ORDINAL_OF_EPOCH = EPOCH.toordinal()
NEAR_A_CHANGE = 3 * HOUR
"""Around a change every minute is looked up; elsewhere both ends of an hour say what lies between."""
SCAN_STEP = DAY

Span = tuple[int, int]
"""Minutes of the local day [start, end); equal ones restrict nothing."""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def file_of(name: str) -> bytes:
    """What the package says of a zone; links have the bytes of what they link to."""
    return (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).read_bytes()


@cache
def zone_of(content: bytes) -> ZoneInfo:
    return ZoneInfo.from_file(BytesIO(content))


def offset_s(zone: ZoneInfo, instant: int) -> int:
    offset = (EPOCH + timedelta(seconds=instant)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@cache
def changes_of(content: bytes, begin: int, end: int) -> tuple[tuple[int, int], ...]:
    """(first second, new offset) of each clock change in [begin, end): looked for day by day, then halved."""
    zone, found = zone_of(content), []
    before = offset_s(zone, begin)
    for instant in range(begin + SCAN_STEP, end + SCAN_STEP, SCAN_STEP):
        after = offset_s(zone, instant)
        if after != before:
            low, high = instant - SCAN_STEP, instant
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_s(zone, middle) == before else (low, middle)
            found.append((high, after))
        before = after
    return tuple((instant, offset) for instant, offset in found if instant < end)


@dataclass(frozen=True)
class Walk:
    """Every minute of a stretch of time in one zone."""

    begin: int
    local: NDArray[np.int64]
    """The local minute, since the epoch, of each minute."""
    masks: dict[tuple[Span, Span], NDArray[np.bool_]] = field(default_factory=dict)
    hours: dict[int, list[int]] = field(default_factory=dict)

    @cached_property
    def reached(self) -> NDArray[np.int64]:
        """The latest local minute up to each minute."""
        return np.maximum.accumulate(self.local)

    @classmethod
    def through(cls, zone: ZoneInfo, begin: int, end: int, changes: Sequence[int]) -> Walk:
        """The minutes [begin, end), both whole hours; `changes` are the clock changes in between."""
        offsets: list[int] = []
        for hour in range(begin, end, HOUR):
            if any(hour - NEAR_A_CHANGE <= change <= hour + NEAR_A_CHANGE for change in changes):
                offsets += [offset_s(zone, minute) for minute in range(hour, hour + HOUR, MINUTE)]
            else:
                offset = offset_s(zone, hour)
                assert offset == offset_s(zone, hour + HOUR)
                offsets += [offset] * 60
        minutes = np.arange(begin, end, MINUTE)
        return cls(begin, (minutes + np.array(offsets)) // MINUTE)

    def permitted(self, window: Span, quiet: Span) -> NDArray[np.bool_]:
        """Of each minute whether the local time is in the window and out of the quiet hours."""
        mask = self.masks.get((window, quiet))
        if mask is None:
            minute_of_day = self.local % 1440
            mask = np.ones(len(self.local), bool) if window[0] == window[1] else inside(minute_of_day, window)
            mask = mask if quiet[0] == quiet[1] else mask & ~inside(minute_of_day, quiet)
            self.masks[window, quiet] = mask
        return mask

    def places_in(self, hour: int) -> list[int]:
        """Where the minutes of a local hour are.

        A wall time stands for the first minute at which the clock has reached it: the first of two, the end of a gap.
        """
        if hour not in self.hours:
            places = np.searchsorted(self.reached, np.arange(hour * 60, hour * 60 + 60))
            self.hours[hour] = list(dict.fromkeys(places.tolist()))
        return self.hours[hour]

    def first_from(self, permitted: NDArray[np.bool_], instant: int) -> int | None:
        """The first permitted minute that begins at or after an instant."""
        place = -(-(instant - self.begin) // MINUTE)
        first = int(np.argmax(permitted[place:]))
        return self.begin + (place + first) * MINUTE if permitted[place + first] else None

    def chosen(
        self, permitted: NDArray[np.bool_], weights: Sequence[float], now: int, horizon: int, seed: int
    ) -> int | None:
        """The minute in the local hour of highest weight, the earliest of equals; None if none has any."""
        this_minute = now // MINUTE * MINUTE
        low, high = ((edge - self.begin) // MINUTE for edge in (this_minute, horizon + MINUTE - 1))
        around = self.local[low - 1 : high]  # with the minute before: a skipped hour stands for the first after it
        hours = range(int(around.min()) // 60, int(around.max()) // 60 + 1)
        best: list[int] = []
        best_weight = -1.0
        for hour in hours:
            weight = weights[hour % 24]
            if weight > best_weight:
                usable = [place for place in self.places_in(hour) if low <= place < high and permitted[place]]
                if usable:
                    best, best_weight = usable, weight
        return self.begin + best[seed % len(best)] * MINUTE if best else None


def inside(minute_of_day: NDArray[np.int64], span: Span) -> NDArray[np.bool_]:
    start, end = span
    if start < end:
        return (start <= minute_of_day) & (minute_of_day < end)
    return (minute_of_day >= start) | (minute_of_day < end)
