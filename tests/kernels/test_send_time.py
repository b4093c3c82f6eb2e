"""Send times against an enumeration of minutes with pytz, as the contract's section 4, step 6, words it."""

import datetime
import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import HIGH, LOW, NONE, NORMAL, TRANSACTIONAL, ZONE_INDEX, ZONE_NAMES, send_times, zone_tables

EPOCH = datetime.datetime(1970, 1, 1)
ODD_ZONES = [
    "Africa/Cairo",  # changes at midnight
    "America/New_York",
    "America/Port-au-Prince",
    "America/Sao_Paulo",
    "America/St_Johns",  # a minute past midnight, until 2011
    "Antarctica/Troll",  # two hours
    "Asia/Gaza",
    "Asia/Kathmandu",  # +05:45
    "Asia/Pyongyang",
    "Australia/Lord_Howe",  # by half an hour
    "Europe/Dublin",
    "Pacific/Apia",  # has no 2011-12-30
    "Pacific/Chatham",  # +12:45
    "Pacific/Kiritimati",
    "UTC",
]


@dataclass(frozen=True)
class Case:
    now: int
    zone: str = "UTC"
    mode: int = NORMAL
    send_at: int = NONE
    window: tuple[int, int] = (0, 0)
    quiet: tuple[int, int] = (21 * 60, 8 * 60)
    starts_at: int = NONE
    ends_at: int = NONE
    hours: tuple[float, ...] = (1.0,) * 24
    spread: int = 0
    campaign_zone: str = "UTC"


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp())


@functools.cache
def offset_s(zone: str, minute: int) -> int:
    moment = (EPOCH + datetime.timedelta(seconds=minute)).replace(tzinfo=pytz.UTC)
    offset = moment.astimezone(pytz.timezone(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def inside(minute_of_day: int, interval: tuple[int, int]) -> bool:
    start, end = interval
    return start <= minute_of_day < end if start <= end else not end <= minute_of_day < start


def permitted(case: Case, minute: int, email: bool, instant: int) -> bool:
    minute_of_day = (minute + offset_s(case.zone, minute)) // 60 % 1440
    return (
        (case.starts_at == NONE or case.starts_at <= instant)
        and (case.ends_at == NONE or instant < case.ends_at)
        and (case.window[0] == case.window[1] or inside(minute_of_day, case.window))
        and (email or case.quiet[0] == case.quiet[1] or not inside(minute_of_day, case.quiet))
    )


def first_permitted(case: Case, email: bool, minute: int) -> int | None:
    first = max(minute, case.starts_at - 60)
    first -= first % 60
    for candidate in range(max(first, minute), max(first, minute) + 4 * 86_400, 60):
        if permitted(case, candidate, email, max(candidate, case.now)):
            return candidate
    return None


@functools.lru_cache(maxsize=4)
def minute_by_wall_time(zone: str, first: int, end: int) -> dict[int, int]:
    """Local seconds → the minute they stand for, for all walls of the minutes [first, end), in order."""
    minute_of: dict[int, int] = {}
    wall_before = None
    for minute in range(first - 26 * 3600, end + 26 * 3600, 60):
        wall = minute + offset_s(zone, minute)
        if wall_before is not None:
            for skipped in range(wall_before + 60, wall, 60):
                minute_of.setdefault(skipped, minute)
        minute_of.setdefault(wall, minute)
        wall_before = wall
    return {wall: minute for wall, minute in sorted(minute_of.items()) if first <= minute < end}


def minutes_by_local_hour(case: Case, email: bool, horizon: int) -> dict[int, list[int]]:
    """Local seconds of the start of each hour → its distinct permitted minutes before the horizon, sorted."""
    hours: dict[int, list[int]] = {}
    for wall, minute in minute_by_wall_time(case.zone, case.now - case.now % 60, horizon).items():
        if permitted(case, minute, email, max(minute, case.now)):
            minutes = hours.setdefault(wall - wall % 3600, [])
            if minute not in minutes:
                minutes.append(minute)
    return hours


def expected_instant(case: Case, email: bool) -> int | None:
    this_minute = case.now - case.now % 60
    if case.mode == TRANSACTIONAL or case.send_at != NONE:
        instant = max(case.now, case.send_at)
        if case.mode == TRANSACTIONAL:
            case = replace(case, window=(0, 0), quiet=(0, 0))
        return instant if permitted(case, instant - instant % 60, email, instant) else None
    if case.mode == HIGH:
        found = first_permitted(case, email, this_minute)
    else:
        horizon = case.now + {NORMAL: 24, LOW: 72}[case.mode] * 3600
        hours = minutes_by_local_hour(case, email, horizon)
        if hours:
            best = min(hours, key=lambda wall: (-case.hours[wall // 3600 % 24], wall))
            found = hours[best][case.spread % len(hours[best])]
        else:
            found = first_permitted(case, email, -(-horizon // 60) * 60)
    return None if found is None else max(found, case.now)


def outputs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.full((count, 7), -7, np.int64),
        np.full((count, 7), -7, np.int32),
        np.full((count, 7), -7, np.int16),
    )


def run(case: Case, candidates: int = 0b11) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weights = np.zeros((7, 2, 24))
    weights[:, 1] = case.hours
    out = outputs(1)
    send_times(
        case.now,
        case.mode,
        case.send_at,
        np.array([candidates], np.uint8),
        np.array([ZONE_INDEX[case.zone]], np.uint16),
        np.array([case.quiet[0]], np.int16),
        np.array([case.quiet[1]], np.int16),
        np.array([1], np.uint8),
        np.array([case.spread], np.uint64),
        weights,
        *case.window,
        case.starts_at,
        case.ends_at,
        ZONE_INDEX[case.campaign_zone],
        *out,
    )
    return out


def check(case: Case) -> None:
    instants, days, offsets = run(case)
    for channel, email in ((0, True), (1, False)):
        instant = expected_instant(case, email)
        assert instants[0, channel] == (NONE if instant is None else instant), (email, case)
        if instant is None:
            assert (days[0, channel], offsets[0, channel]) == (0, 0)
        else:
            assert days[0, channel] == (instant + offset_s(case.campaign_zone, instant)) // 86_400
            assert int(offsets[0, channel]) * 60 == offset_s(case.zone, instant)
    assert (instants[0, 2:] == NONE).all()


def clock_changes(zone: str) -> list[int]:
    begins, _, starts = zone_tables()
    instants = begins[starts[ZONE_INDEX[zone]] : starts[ZONE_INDEX[zone] + 1]]
    return [int(instant) for instant in instants if at("1970-01-02") < instant < at("2037-12-01")]


zones = st.sampled_from(ODD_ZONES) | st.sampled_from(ZONE_NAMES)
minutes_of_day = st.integers(0, 1439) | st.integers(0, 47).map(lambda half_hour: half_hour * 30)
intervals = st.tuples(minutes_of_day, minutes_of_day)
narrow_intervals = st.tuples(minutes_of_day, st.integers(1, 90)).map(lambda p: (p[0], (p[0] + p[1]) % 1440))


def only(hour: int) -> tuple[float, ...]:
    return tuple(float(hour == h) for h in range(24))


some_weights = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=24, max_size=24).map(tuple)
hour_weights = some_weights | st.sampled_from([23, 0, 1, 2, 3]).map(only)  # clocks change at night


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zone = draw(zones)
    changes = clock_changes(zone)
    if changes and draw(st.integers(0, 3)):
        now = draw(st.sampled_from(changes))
        now += draw(st.integers(-76, 26)) * 3600 + draw(st.integers(-90, 90)) * 60
    else:
        now = draw(st.integers(at("2000-01-01"), at("2036-12-31")))
    now = max(0, now + draw(st.sampled_from([0, 0, 1, 30, 59])))
    hours_away, seconds_away = st.integers(-4, 80), st.integers(-90, 90)
    near = hours_away.map(lambda hours: now + hours * 3600) | seconds_away.map(lambda seconds: now + seconds)
    return Case(
        now=now,
        zone=zone,
        mode=draw(st.sampled_from([TRANSACTIONAL, HIGH, HIGH, NORMAL, NORMAL, LOW, LOW])),
        send_at=draw(st.just(NONE) | st.just(NONE) | near),
        window=draw(st.just((0, 0)) | intervals | narrow_intervals),
        quiet=draw(st.just((0, 0)) | intervals | narrow_intervals),
        starts_at=draw(st.just(NONE) | st.just(NONE) | near),
        ends_at=draw(st.just(NONE) | st.just(NONE) | near),
        hours=draw(hour_weights),
        spread=draw(st.integers(0, 59) | st.integers(0, 2**64 - 1)),
        campaign_zone=draw(zones),
    )


@settings(max_examples=400, deadline=None)
@given(cases())
def test_equals_enumeration(case: Case) -> None:
    check(case)


CHANGE_WINDOWS = [(0, 0), (22 * 60, 2 * 60 + 10), (90, 150), (23 * 60 + 50, 10)] * 2
CHANGE_DISTANCES_S = (-49 * 3600, -24 * 3600, -3 * 3600, -1829, -60, 0, 59, 1800, 3600, 7 * 3600, 23 * 3600)


@pytest.mark.parametrize("mode", [HIGH, NORMAL, LOW])
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("America/New_York", "2026-03-08T07:00"),
        ("America/New_York", "2026-11-01T06:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:30"),
        ("Pacific/Chatham", "2026-04-04T14:00"),
        ("Pacific/Chatham", "2026-09-26T14:00"),
        ("Asia/Kathmandu", "2026-01-01T00:00"),
        ("Pacific/Apia", "2011-12-30T10:00"),
        ("America/St_Johns", "2010-11-07T02:31"),
        ("Africa/Cairo", "2026-04-23T22:00"),
        ("Africa/Monrovia", "1972-01-07T00:44:30"),
    ],
)
def test_around_named_changes(zone: str, change: str, mode: int) -> None:
    quarters = tuple(hour % 5 / 4 for hour in range(24))
    windows = itertools.cycle(CHANGE_WINDOWS[mode : mode + 4])
    for distance, window in zip(CHANGE_DISTANCES_S, windows, strict=False):
        check(Case(at(change) + distance, zone, mode, window=window, hours=quarters, spread=17))


@pytest.mark.parametrize(
    ("case", "instant"),
    [
        # the skipped hour keeps its weight and has one minute: the first after the gap
        (
            Case(at("2026-03-08T00:00"), "America/New_York", quiet=(0, 0), hours=only(2), spread=9),
            "2026-03-08T07:00",
        ),
        # of an hour that comes twice, the first
        (
            Case(at("2026-11-01T00:00"), "America/New_York", quiet=(0, 0), hours=only(1), spread=9),
            "2026-11-01T05:09",
        ),
        # Samoa's missing day: its ten o'clock is the midnight that follows
        (
            Case(at("2011-12-29T22:00"), "Pacific/Apia", quiet=(0, 0), hours=only(10), spread=7),
            "2011-12-30T10:00",
        ),
        # Nepal's hours start at a quarter past those of UTC
        (Case(at("2026-01-01T00:00"), "Asia/Kathmandu", quiet=(0, 0), hours=only(9)), "2026-01-01T03:15"),
        # half an hour is skipped: half an hour is left to spread over
        (
            Case(at("2026-10-03T00:00"), "Australia/Lord_Howe", quiet=(0, 0), hours=only(2), spread=5),
            "2026-10-03T15:35",
        ),
        # the clock goes forward within an hour, a minute past midnight: that leaves 0:00 and 1:01
        (
            Case(at("2011-03-12T12:00"), "America/St_Johns", quiet=(0, 0), hours=only(0), spread=2),
            "2011-03-13T03:30",
        ),
        # the clock goes back within an hour, a minute past midnight: its second minute comes an hour later
        (
            Case(at("2010-11-06T12:00"), "America/St_Johns", quiet=(0, 0), hours=only(0), spread=1),
            "2010-11-07T03:31",
        ),
        # the hour under way counts with what is left of it, the minute under way with now
        (Case(at("2026-01-01T09:58:20"), hours=only(9), spread=2), "2026-01-01T09:58:20"),
        (Case(at("2026-01-01T09:58:20"), hours=only(9), spread=3), "2026-01-01T09:59"),
        # the period ends within a minute: the minute that starts before the end is the last
        (Case(at("2026-01-01T09:00"), ends_at=at("2026-01-01T09:01:30"), spread=1), "2026-01-01T09:01"),
        (Case(at("2026-01-01T09:00"), ends_at=at("2026-01-01T09:01:30"), spread=2), "2026-01-01T09:00"),
        # no hour of the next 24 h has a minute (only the second 01:30 is permitted): the first one after
        (
            Case(at("2026-11-01T05:45"), "America/New_York", window=(90, 91), quiet=(0, 0)),
            "2026-11-02T06:30",
        ),
    ],
)
def test_named_instant(case: Case, instant: str) -> None:
    check(case)
    assert run(case)[0][0, 1] == at(instant)


def test_nothing_where_window_and_quiet_hours_leave_no_minute() -> None:
    for mode in (HIGH, NORMAL, LOW):
        case = Case(at("2026-01-01"), mode=mode, window=(22 * 60, 7 * 60))
        instants, _, _ = run(case)
        assert instants[0, 1] == NONE
        assert instants[0, 0] != NONE


def test_a_batch_is_its_recipients_one_by_one() -> None:
    random = np.random.default_rng(7)
    count = 300
    chosen = [ZONE_INDEX[zone] for zone in ODD_ZONES]
    columns = [
        random.integers(0, 128, count).astype(np.uint8),
        random.choice(chosen, count).astype(np.uint16),
        random.choice([0, 1260, 1300], count).astype(np.int16),
        random.choice([0, 420, 485], count).astype(np.int16),
        random.integers(0, 2, count).astype(np.uint8),
        random.integers(0, 2**64, count, np.uint64),
    ]
    for column in columns:
        column.flags.writeable = False  # as Ray hands them over
    weights = random.random((7, 2, 24)).round(1)
    weights[6] = weights[5]
    now = at("2026-03-07T20:00:05")
    for mode in (TRANSACTIONAL, HIGH, NORMAL, LOW):
        rules = (weights, 480, 1260, NONE, at("2026-03-10T12:00:30"), ZONE_INDEX["Pacific/Chatham"])
        whole = outputs(count)
        send_times(now, mode, NONE, *columns, *rules, *whole)
        for i in range(count):
            single = outputs(1)
            send_times(now, mode, NONE, *(column[i : i + 1].copy() for column in columns), *rules, *single)
            assert all((one[0] == all_[i]).all() for one, all_ in zip(single, whole, strict=True))
        instants = whole[0]
        for channel in range(7):
            chosen_at = instants[:, channel]
            assert (chosen_at[columns[0] >> channel & 1 == 0] == NONE).all()
        both = columns[0] >> 5 == 3
        assert (instants[both, 5] == instants[both, 6]).all()


def test_wrong_dtype_is_refused() -> None:
    case = Case(0)
    with pytest.raises(TypeError):
        send_times(
            case.now,
            HIGH,
            NONE,
            np.array([1], np.int64),  # type: ignore[arg-type]
            np.array([0], np.uint16),
            np.array([0], np.int16),
            np.array([0], np.int16),
            np.array([0], np.uint8),
            np.array([0], np.uint64),
            np.zeros((7, 2, 24)),
            0,
            0,
            NONE,
            NONE,
            0,
            *outputs(1),
        )
