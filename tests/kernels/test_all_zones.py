"""Every zone and every clock change of ten years, and some famous ones, against a walk through `zoneinfo`.

Names that link to one file share its changes, and zones with the same offsets in these years share a walk: what the
kernels see of them is the same. The tables themselves are compared name by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
import pytz
import tzdata

from engine._core import Zones
from kernels import HIGH, LOW, NONE, NORMAL, ZONE_INDEX, ZONE_NAMES, local_offset, send_times, zone_tables
from tests.kernels.zoneinfo_walk import DAY, HOUR, MINUTE, Span, Walk, at, changes_of, file_of, offset_s, zone_of

BEGIN, END = at("2024-01-01"), at("2034-01-01")
CORE = Zones(*zone_tables())
EMAIL, SMS = 0, 1

WINDOWS: tuple[Span, ...] = ((0, 0), (480, 1260), (1320, 130), (90, 150), (1430, 10))
QUIET_HOURS: tuple[Span, ...] = ((1260, 480), (0, 0), (30, 195))
DISTANCES_S = (-72 * HOUR + 30, -25 * HOUR, -23 * HOUR - 1, -HOUR, -1829, -60, -1, 0, 59, 1800, 3 * HOUR, 23 * HOUR)
HORIZONS_S = {NORMAL: DAY, LOW: 3 * DAY}
REACH_S = 100 * HOUR  # before a change; after it, the longest horizon and four days, which hold every minute
WEIGHTS = (tuple(hour % 5 / 4 for hour in range(24)), tuple(float(hour in (0, 2, 23)) for hour in range(24)))


def walk_around(name: str, moment: int) -> Walk:
    begin, end = (edge // HOUR * HOUR for edge in (moment - REACH_S, moment + 2 * REACH_S))
    content = file_of(name)
    changes = [change for change, _ in changes_of(content, begin - DAY, end + DAY)]
    return Walk.through(zone_of(content), begin, end, changes)


def planned(name: str, now: int, mode: int, window: Span, weights: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """What the kernel says for one recipient of each of QUIET_HOURS, e-mail and sms: instants, days, offsets."""
    count = len(QUIET_HOURS)
    zone = ZONE_INDEX[name]
    table = np.empty((7, 2, 24))
    table[:] = weights
    out = np.empty((count, 7), np.int64), np.empty((count, 7), np.int32), np.empty((count, 7), np.int16)
    send_times(
        now, mode, NONE, np.full(count, 0b11, np.uint8), np.full(count, zone, np.uint16),
        *(np.array(edges, np.int16) for edges in zip(*QUIET_HOURS, strict=True)),
        np.zeros(count, np.uint8), np.arange(17, 17 + count, dtype=np.uint64), table, *window, NONE, NONE, zone, *out,
    )  # fmt: skip
    return out


def expected(
    walk: Walk, now: int, mode: int, window: Span, quiet: Span, weights: tuple[float, ...], seed: int
) -> int | None:
    permitted = walk.permitted(window, quiet)
    if mode == HIGH:
        found = walk.first_from(permitted, now // MINUTE * MINUTE)
    else:
        horizon = now + HORIZONS_S[mode]
        found = walk.chosen(permitted, weights, now, horizon, seed)
        found = walk.first_from(permitted, horizon) if found is None else found
    return None if found is None else max(found, now)


def check(name: str, walk: Walk, now: int, window: Span, weights: tuple[float, ...]) -> int:
    """Compares kernel and core with the walk; how many instants were compared."""
    compared = 0
    for mode in (HIGH, NORMAL, LOW):
        instants, days, offsets = planned(name, now, mode, window, weights)
        for row, quiet in enumerate(QUIET_HOURS):
            for channel, hours in ((EMAIL, (0, 0)), (SMS, quiet)):
                wanted = expected(walk, now, mode, window, hours, weights, 17 + row)
                about = (name, now, mode, window, hours, weights)
                assert instants[row, channel] == (NONE if wanted is None else wanted), about
                if wanted is not None:
                    local = walk.local[(wanted - walk.begin) // MINUTE]
                    assert days[row, channel] == local // 1440, about
                    assert offsets[row, channel] == local - wanted // MINUTE, about
                compared += 1
    for quiet in QUIET_HOURS:
        first = walk.first_from(walk.permitted(window, quiet), now)
        assert CORE.first_permitted(ZONE_INDEX[name], now, window, quiet, None) == first, (name, now, window, quiet)
        compared += 1
    return compared


def table_changes(name: str) -> list[tuple[int, int]]:
    begins, offsets, starts = zone_tables()
    segments = slice(starts[ZONE_INDEX[name]] + 1, starts[ZONE_INDEX[name] + 1])
    pairs = zip(begins[segments].tolist(), offsets[segments].tolist(), strict=True)
    return [(instant, offset) for instant, offset in pairs if BEGIN <= instant < END]


def distinct_clocks() -> dict[tuple[int, tuple[tuple[int, int], ...]], str]:
    """A name for each different course of local time in the ten years."""
    clocks: dict[tuple[int, tuple[tuple[int, int], ...]], str] = {}
    for name in ZONE_NAMES:
        content = file_of(name)
        clocks.setdefault((offset_s(zone_of(content), BEGIN), changes_of(content, BEGIN, END)), name)
    return clocks


def test_both_paths_are_of_one_release_and_the_pinned_one() -> None:
    assert pytz.OLSON_VERSION == tzdata.IANA_VERSION
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text("utf-8")
    assert re.findall(r"^(pytz|tzdata)==(\S+)$", pins, re.M) == [
        ("pytz", pytz.__version__),
        ("tzdata", tzdata.__version__),
    ]


def test_every_name_has_the_changes_and_offsets_that_zoneinfo_finds() -> None:
    assert list(ZONE_NAMES) == sorted(pytz.all_timezones)
    changes = 0
    for name in ZONE_NAMES:
        content = file_of(name)
        zone, found = zone_of(content), changes_of(content, BEGIN, END)
        assert table_changes(name) == list(found), name
        instants = [BEGIN, END - 1, *(change + step for change, _ in found for step in (-HOUR, -1, 0, 1, HOUR))]
        assert local_offset(ZONE_INDEX[name], np.array(instants)).tolist() == [offset_s(zone, t) for t in instants]
        changes += len(found)
    print(f"{len(ZONE_NAMES)} names, {changes} changes")
    assert len(ZONE_NAMES) >= 590
    assert changes >= 3_500


def test_send_times_around_every_change_of_ten_years() -> None:
    distances, windows, weights = cycle(DISTANCES_S), cycle(WINDOWS), cycle(WEIGHTS)
    clocks = distinct_clocks()
    changes = compared = 0
    for (_, found), name in clocks.items():
        for change, _ in found:
            walk = walk_around(name, change)
            for distance in islice(distances, 4):  # of 12
                compared += check(name, walk, change + distance, next(windows), next(weights))
            changes += 1
    print(f"{len(clocks)} clocks, {changes} changes, {compared} instants")
    assert len(clocks) >= 60
    assert changes >= 500
    assert compared >= 40_000


@pytest.mark.parametrize("leap_day", ["2024-02-29", "2028-02-29"])
def test_leap_days_in_every_clock(leap_day: str) -> None:
    noon = at(leap_day) + 12 * HOUR
    named: set[int] = set()
    for name in distinct_clocks().values():
        walk = walk_around(name, noon)
        for distance, window in zip((-36 * HOUR, -13 * HOUR, 0, 11 * HOUR + 59), WINDOWS[:4], strict=True):
            check(name, walk, noon + distance, window, WEIGHTS[0])
        _, days, _ = planned(name, noon, LOW, (0, 0), WEIGHTS[0])
        named.update(days[:, EMAIL].tolist())
    assert at(leap_day) // DAY in named


NAMED = [
    ("Australia/Lord_Howe", "2026-04-04T15:00", -1800),
    ("Australia/Lord_Howe", "2026-10-03T15:30", 1800),
    ("Pacific/Apia", "2011-12-30T10:00", DAY),  # there was no 30 December
    ("Pacific/Kwajalein", "1993-08-21T12:00", DAY),  # there was no 21 August
    ("Africa/Casablanca", "2026-02-15T02:00", -HOUR),  # for Ramadan
    ("Africa/Casablanca", "2026-03-22T02:00", HOUR),
    ("Antarctica/Troll", "2026-03-29T01:00", 2 * HOUR),
    ("Antarctica/Troll", "2026-10-25T01:00", -2 * HOUR),
    ("America/Havana", "2026-03-08T05:00", HOUR),  # at midnight; 2026f knows of no way back that year
    ("America/Havana", "2025-11-02T05:00", -HOUR),
    ("Africa/Cairo", "2026-04-23T22:00", HOUR),  # at midnight
    ("Africa/Cairo", "2026-10-29T21:00", -HOUR),
    ("Asia/Kathmandu", "1985-12-31T18:30", 900),
]


@pytest.mark.parametrize(("name", "moment", "moved_s"), NAMED)
def test_send_times_around_famous_changes(name: str, moment: str, moved_s: int) -> None:
    change, zone = at(moment), zone_of(file_of(name))
    assert offset_s(zone, change) - offset_s(zone, change - 1) == moved_s
    walk = walk_around(name, change)
    for now in nows(change):
        for window in WINDOWS:
            for weights in WEIGHTS:
                check(name, walk, now, window, weights)


def nows(change: int) -> Iterable[int]:
    return (change + distance for distance in DISTANCES_S)


def test_kathmandu_is_a_quarter_off_the_half_hour() -> None:
    assert set(local_offset(ZONE_INDEX["Asia/Kathmandu"], np.arange(BEGIN, END, DAY)).tolist()) == {20_700}


# ---- where pytz itself differs ----------------------------------------------------------------------------


def test_pytz_ends_in_2037_and_keeps_the_last_offset() -> None:
    """The tables follow pytz: from 2038 on a summer is as its winter before. No instant gets there for ten years."""
    zone, index = zone_of(file_of("America/New_York")), ZONE_INDEX["America/New_York"]
    summers = [at(f"{year}-07-01") for year in (2037, 2038, 2040)]
    assert [offset_s(zone, summer) for summer in summers] == [-4 * HOUR] * 3
    assert local_offset(index, np.array(summers)).tolist() == [-4 * HOUR, -5 * HOUR, -5 * HOUR]


def test_pytz_knows_whole_minutes_only_which_no_zone_has_needed_since_1972() -> None:
    zone, index = zone_of(file_of("Africa/Monrovia")), ZONE_INDEX["Africa/Monrovia"]
    before = at("1972-01-07T00:44:29")
    assert offset_s(zone, before) == -(44 * MINUTE + 30)
    assert local_offset(index, np.array([before])).tolist() == [-44 * MINUTE]
    assert list(odd_offsets()) == []


def odd_offsets() -> Iterator[str]:
    """Names with an offset of odd seconds at the turn of any year from 1973 on."""
    turns = [at(f"{year}-01-01") for year in range(1973, 2038)]
    for content, name in {file_of(name): name for name in ZONE_NAMES}.items():
        if any(offset_s(zone_of(content), turn) % MINUTE for turn in turns):
            yield name
