"""The zone tables against pytz itself."""

import datetime
import itertools

import numpy as np
import pytest
import pytz
from hypothesis import given
from hypothesis import strategies as st

from kernels import ZONE_INDEX, ZONE_NAMES, local_offset, zone_tables
from kernels.local_hours import CHANGE_REACH

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def pytz_offset_s(zone: str, instant: int) -> int:
    moment = EPOCH + datetime.timedelta(seconds=instant)
    offset = moment.astimezone(pytz.timezone(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def test_names_are_sorted_and_indexed() -> None:
    assert list(ZONE_NAMES) == sorted(pytz.all_timezones)
    assert all(ZONE_NAMES[index] == name for name, index in ZONE_INDEX.items())


def test_every_zone_at_each_clock_change() -> None:
    begins, offsets, starts = zone_tables()
    assert len(starts) == len(ZONE_NAMES) + 1
    assert (offsets % 60 == 0).all()
    for zone, name in enumerate(ZONE_NAMES):
        changes = begins[starts[zone] + 1 : starts[zone + 1]]
        assert (np.diff(changes) > 0).all()
        instants = np.concatenate([changes - 1, changes, [-4_000_000_000, 0, 4_102_444_800]])
        assert local_offset(zone, instants).tolist() == [pytz_offset_s(name, int(t)) for t in instants]


@given(st.sampled_from(ZONE_NAMES), st.integers(-(2**31), 2**32))
def test_any_instant(name: str, instant: int) -> None:
    assert local_offset(ZONE_INDEX[name], np.array([instant])).tolist() == [pytz_offset_s(name, instant)]


def test_no_change_reaches_farther_than_assumed() -> None:
    _, offsets, starts = zone_tables()
    for low, high in itertools.pairwise(starts):
        assert (np.abs(np.diff(offsets[low:high])) <= CHANGE_REACH).all()


def test_changes_of_a_zone_lie_apart() -> None:
    begins, _, starts = zone_tables()
    for low, high in itertools.pairwise(starts):
        changes = begins[low + 1 : high]
        assert (np.diff(changes[changes > 0]) > 2 * CHANGE_REACH).all()


@pytest.mark.parametrize("zone", [-1, len(ZONE_NAMES)])
def test_unknown_zone(zone: int) -> None:
    with pytest.raises(IndexError):
        local_offset(zone, np.array([0]))
