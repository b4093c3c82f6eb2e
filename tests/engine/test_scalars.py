"""Words, errors, money, instants: texts of a request and the plain values they stand for."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._core import CHANNELS, CUSTOMER_TYPES, DEVICES, EVENT_TYPES, URGENCIES
from engine.errors import (
    ConfigurationError,
    Conflict,
    MadanSaraError,
    Overloaded,
    RequestError,
    ShardUnavailable,
    UnknownCampaign,
)
from engine.event import (
    EventType,
)
from engine.model import Channel, Recipient, Urgency
from engine.money import format_amount, parse_amount
from engine.scalars import Instant, MinuteOfDay


def test_words_are_the_cores() -> None:
    def words(alias: Any) -> tuple[str, ...]:
        return tuple(msgspec.json.schema(alias)["enum"])

    fields = {field.name: field.type for field in msgspec.structs.fields(Recipient)}
    assert set(words(Channel)) == set(CHANNELS)
    assert set(words(Urgency)) == set(URGENCIES)
    assert set(words(EventType)) == set(EVENT_TYPES)
    assert set(words(fields["customer_type"])) == set(CUSTOMER_TYPES)
    assert set(words(fields["device"])) == set(DEVICES)


@pytest.mark.parametrize(
    "error",
    [
        RequestError(400, "no", [("/a", "b")]),
        UnknownCampaign("spring"),
        Conflict("no"),
        Overloaded("full", 2),
        ShardUnavailable("gone", 3),
        ConfigurationError("port", "takes a number"),
    ],
)
def test_errors_cross_process_borders(error: MadanSaraError) -> None:
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), vars(twin), str(twin), twin.status) == (
        type(error),
        vars(error),
        str(error),
        error.status,
    )


@given(st.integers(0, 10**18 - 1))
def test_amounts_round_trip(micro: int) -> None:
    text = format_amount(micro)
    assert parse_amount(text) == micro
    assert Decimal(text) * 1_000_000 == micro
    fraction = text.split(".")[1]
    assert len(fraction) == 2 or (2 < len(fraction) <= 6 and not fraction.endswith("0"))


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1.", ".5", "1,5", "1e3", "0.0000001", "1000000000000", "NaN", "1\n", " 1", "١", "1_0"],
)
def test_wrong_amounts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal string"):
        parse_amount(text)


def test_negative_amounts_are_shown() -> None:
    assert format_amount(-1_500_000) == "-1.50"


@given(st.datetimes(timezones=st.timezones()))
def test_instants_are_read_from_any_offset(moment: datetime) -> None:
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        return
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert Instant.read(moment.isoformat()) == seconds
    assert Instant.read(Instant(seconds).write()) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.999z", 1),
        ("1969-12-31T23:59:59.5Z", -1),
        ("1970-01-01T00:00:00+01:00", -3600),
        ("2016-12-31T23:59:60Z", 1483228799),
    ],
)
def test_instants(text: str, seconds: int) -> None:
    assert Instant.read(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-03-01",
        "2026-03-01T05:00:00",
        "2026-03-01 05:00:00Z",
        "2026-02-30T05:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T05:00:61Z",
        "2026-03-01T05:00Z",
        "2026-03-01T05:00:00+24:00",
        "2026-03-01T05:00:00Z\n",
        "٢٠٢٦-03-01T05:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        1772341200,
        None,
    ],
)
def test_wrong_instants_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        Instant.read(value)


@given(st.integers(0, 1439))
def test_minutes_of_the_day_round_trip(minute: int) -> None:
    assert MinuteOfDay.read(MinuteOfDay(minute).write()) == minute
