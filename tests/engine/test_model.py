"""Campaigns, recipients, events, money and status: what is taken, what is refused, what is answered."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._core import CHANNELS, CUSTOMER_TYPES, DEVICES, EVENT_TYPES, MESSAGE_STATES, REASONS, URGENCIES
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
    EVENTS_MAX,
    Event,
    EventFault,
    EventType,
    decode_events,
    decode_scope,
    decode_suppression,
)
from engine.model import Campaign, Channel, Recipient, Urgency, decode_campaign, encode_campaign
from engine.money import format_amount, parse_amount
from engine.reading import VALUES_MAX, pointer
from engine.scalars import Instant, MinuteOfDay, decode_scalar, scalar_schema
from engine.status import Tally, build_status

SPRING: dict[str, Any] = {
    "id": "spring",
    "name": "Spring",
    "category": "marketing",
    "urgency": "normal",
    "timezone": "America/Port-au-Prince",
    "starts_at": "2026-03-01T05:00:00Z",
    "ends_at": "2026-04-01T04:00:00Z",
    "channels": {"allowed": ["email", "sms", "whatsapp"], "priority": {"email": 1, "sms": 2}},
    "budget": {"currency": "USD", "total": "500.00", "daily": "40.00", "per_channel": {"sms": "100.00"}},
    "costs": {"email": "0.001", "sms": "0.0075"},
    "conversion_value": "25.00",
    "limits": {"daily_messages": 5000, "daily_cap": 3, "weekly_cap": 10, "lookback_hours": 24},
    "send_window": {"start": "08:00", "end": "21:00"},
    "on_cap": "block",
    "max_attempts": 3,
    "dedup_key": "spring",
}


def decode(**changes: object) -> Campaign:
    return decode_campaign(json.dumps(SPRING | changes).encode(), "spring")


def faults_of(body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(RequestError) as raised:
        decode_campaign(body, "spring")
    assert raised.value.status == 400
    return raised.value.errors


# ---- words and errors


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


# ---- money


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


# ---- scalars


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


# ---- campaigns


def test_the_contracts_campaign_is_read() -> None:
    campaign = decode()
    assert (campaign.starts_at, campaign.ends_at) == (1772341200, 1775016000)
    assert campaign.budget is not None
    assert (campaign.budget.total, campaign.budget.daily) == (500_000_000, 40_000_000)
    assert campaign.costs["sms"] == 7_500
    assert list(campaign.costs) == list(CHANNELS)
    assert (campaign.send_window.start, campaign.send_window.end) == (480, 1260)  # type: ignore[union-attr]


def test_only_the_id_is_required() -> None:
    campaign = decode_campaign(b"{}", "x")
    assert (campaign.id, campaign.name, campaign.dedup_key) == ("x", "x", "x")
    assert campaign.channels.allowed == CHANNELS
    assert (campaign.limits.daily_cap, campaign.limits.weekly_cap, campaign.limits.lookback_hours) == (
        3,
        10,
        24,
    )
    assert campaign.budget is campaign.starts_at is campaign.ends_at is campaign.send_window is None
    assert (campaign.category, campaign.urgency, campaign.timezone, campaign.max_attempts) == (
        "marketing",
        "normal",
        "UTC",
        3,
    )


def test_the_answer_is_whole_and_can_be_put_again() -> None:
    campaign = decode(costs={"email": "0.0010"}, budget={"total": "5"})
    answer = json.loads(encode_campaign(campaign, "active"))
    assert answer.pop("state") == "active"
    assert answer["costs"]["email"] == "0.001"
    assert answer["budget"] == {"currency": "USD", "total": "5.00", "daily": None, "per_channel": {}}
    assert decode_campaign(json.dumps(answer).encode(), "spring") == campaign


def test_campaigns_cross_process_borders() -> None:
    assert pickle.loads(pickle.dumps(decode())) == decode()


def test_allowed_channels_are_put_in_order() -> None:
    assert decode(channels={"allowed": ["sms", "email", "sms"]}).channels.allowed == ("email", "sms")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": "other"}, "/id"),
        ({"id": 5}, "/id"),
        ({"name": None}, "/name"),
        ({"category": "news"}, "/category"),
        ({"urgency": None}, "/urgency"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"starts_at": "2026-03-01"}, "/starts_at"),
        ({"ends_at": "2026-03-01T05:00:00Z"}, "/ends_at"),
        ({"channels": {"allowed": []}}, "/channels/allowed"),
        ({"channels": {"allowed": ["sms", "fax"]}}, "/channels/allowed/1"),
        ({"channels": {"priority": {"email": 1, "sms": "2"}}}, "/channels/priority/sms"),
        ({"channels": {"priority": {"fax": 1}}}, "/channels/priority/fax"),
        ({"budget": {"total": 5}}, "/budget/total"),
        ({"budget": {"total": "-5"}}, "/budget/total"),
        ({"budget": {"currency": "usd"}}, "/budget/currency"),
        ({"budget": {"per_channel": {"email": "1", "sms": "x"}}}, "/budget/per_channel/sms"),
        ({"budget": {"a/b~c": 1}}, "/budget/a~1b~0c"),
        ({"costs": {"email": "1", "fax": "1"}}, "/costs/fax"),
        ({"conversion_value": 2.5}, "/conversion_value"),
        ({"limits": {"daily_cap": -1}}, "/limits/daily_cap"),
        ({"limits": {"weekly_cap": 2.5}}, "/limits/weekly_cap"),
        ({"limits": {"lookback_hours": 8761}}, "/limits/lookback_hours"),
        ({"limits": {"per_minute": 600}}, "/limits/per_minute"),
        ({"on_cap": "defer"}, "/on_cap"),
        ({"send_window": {"start": "08:00"}}, "/send_window/end"),
        ({"send_window": {"start": "8:00", "end": "21:00"}}, "/send_window/start"),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"max_attempts": 8}, "/max_attempts"),
        ({"dedup_key": ""}, "/dedup_key"),
        ({"dedup_key": "a\u0000b"}, "/dedup_key"),
        ({"dedup_key": "é" * 65}, "/dedup_key"),
        ({"colour": "red"}, "/colour"),
        ({"state": "active"}, "/state"),
    ],
)
def test_faults_have_their_path(changes: dict[str, object], path: str) -> None:
    assert [fault[0] for fault in faults_of(json.dumps(SPRING | changes).encode())] == [path]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"spring"',
        b"{} {}",
        b'{"name": "\xff"}',
        b'{"name": "a", "name": "b"}',
        b'{"name": "\\ud800"}',
        b'{"max_attempts": ' + b"9" * 100_000 + b"}",
        b'{"max_attempts": 1e999}',
        b'{"max_attempts": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"' + b"x" * 100_000 + b'": 1}',
        b'{"name": "\x00"}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_input_no_parser_likes_is_a_400(body: bytes) -> None:
    assert all(len(path) + len(message) < 1_000 for path, message in faults_of(body))


def test_all_contradictions_are_named_at_once() -> None:
    faults = faults_of(json.dumps(SPRING | {"ends_at": "2026-01-01T00:00:00Z", "on_cap": "defer"}).encode())
    assert [path for path, _ in faults] == ["/ends_at", "/on_cap"]


def test_states_follow_the_half_open_period() -> None:
    campaign = decode()
    start, end = campaign.starts_at, campaign.ends_at
    assert start is not None
    assert end is not None
    assert [campaign.state(now, False) for now in (start - 1, start, end - 1, end)] == [
        "upcoming",
        "active",
        "active",
        "ended",
    ]
    assert [campaign.state(now, True) for now in (start - 1, start, end)] == ["paused", "paused", "ended"]
    assert decode_campaign(b"{}", "x").state(0, False) == "active"


def test_local_days_are_the_campaigns() -> None:
    campaign = decode(timezone="America/New_York", starts_at=None, ends_at=None)
    midnight = Instant.read("2026-07-01T00:00:00-04:00")
    days = (datetime(2026, 7, 1) - datetime(1970, 1, 1)).days
    assert (campaign.local_day(midnight), campaign.local_day(midnight - 1)) == (days, days - 1)


@given(st.lists(st.one_of(st.text(max_size=5), st.integers(0, 9)), max_size=4))
def test_pointers_can_be_followed(steps: list[str | int]) -> None:
    parts = pointer(steps).split("/")[1:]
    assert [part.replace("~1", "/").replace("~0", "~") for part in parts] == [str(step) for step in steps]


# ---- events and suppressions


def events_of(*events: object) -> list[Event | EventFault]:
    return decode_events(json.dumps({"events": events}).encode())


def test_a_wrong_event_leaves_the_others_alone() -> None:
    good = {"id": "e", "type": "converted", "message_id": "m", "at": "1970-01-01T00:00:09Z", "value": "2.5"}
    first, wrong_type, nothing, no_message, value, last = events_of(
        good,
        good | {"type": "sneezed"},
        3,
        {"id": "x", "type": "opened"},
        good | {"type": "opened"},
        good,
    )
    assert isinstance(first, Event)
    assert (first.at, first.value) == (9, 2_500_000)
    assert last == first
    faults = [wrong_type, nothing, no_message, value]
    assert [(fault.id, fault.errors[0][0]) for fault in faults if isinstance(fault, EventFault)] == [
        ("e", "/events/1/type"),
        (None, "/events/2"),
        ("x", "/events/3/message_id"),
        ("e", "/events/4/value"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b'{"events": {}}', 400),
        (b'{"events": [], "more": 1}', 400),
        (b'{"events": [' + b"0," * EVENTS_MAX + b"0]}", 413),
        (b'{"events": [' + b"[[[[]]]]," * VALUES_MAX + b"0]}", 413),
    ],
    ids=["missing", "not a list", "unknown field", "too many", "far too many"],
)
def test_wrong_event_requests(body: bytes, status: int) -> None:
    with pytest.raises(RequestError) as raised:
        decode_events(body)
    assert raised.value.status == status


def test_suppressions() -> None:
    assert decode_suppression(b"") == decode_suppression(b"{}")
    given_one = decode_suppression(b'{"until": "1970-01-01T00:01:00Z", "reason": "asked"}')
    assert (given_one.until, given_one.reason) == (60, "asked")
    with pytest.raises(RequestError):
        decode_suppression(b'{"until": 60}')
    assert decode_scope("all") == "all"
    with pytest.raises(RequestError) as raised:
        decode_scope("fax")
    assert raised.value.status == 404


# ---- recipients


def test_the_contracts_recipient_is_read() -> None:
    recipient = msgspec.convert(
        {
            "id": "c-1",
            "customer_type": "existing",
            "timezone": "America/Port-au-Prince",
            "device": "mobile",
            "contacts": {"email": "ana@example.com", "whatsapp": "+50937001234"},
            "preferences": {
                "channels": ["whatsapp"],
                "opt_out": ["sms", "all"],
                "quiet_hours": {"start": "21:00", "end": "08:00"},
            },
        },
        Recipient,
        dec_hook=decode_scalar,
    )
    assert recipient.preferences.quiet_hours.start == 1260  # type: ignore[union-attr]
    assert msgspec.convert({"id": "c"}, Recipient, dec_hook=decode_scalar).device is msgspec.UNSET


def test_every_struct_has_a_schema() -> None:
    _, components = msgspec.json.schema_components([Campaign, Recipient, Event], schema_hook=scalar_schema)
    assert {"Campaign", "Recipient", "Event", "Preferences", "Window"} <= components.keys()


# ---- status


def tally(scale: int) -> Tally:
    return {
        "messages": [scale, 0, scale, 2 * scale, 0, 0, scale, 0],
        "blocked": [scale] * len(REASONS),
        "channels": [
            {
                "messages": scale,
                "committed": 1_000 * scale,
                "spent": 500 * scale,
                "delivered": scale,
                "engaged": scale,
                "converted": scale,
            }
            for _ in CHANNELS
        ],
        "opened": 3 * scale,
        "clicked": 2 * scale,
        "converted": scale,
        "revenue": 7_000_000 * scale,
        "days": {0: (10_000 * scale, scale), 1: (99, 1)},
        "hours": [scale] * 24,
    }


def test_status_adds_up_and_divides() -> None:
    campaign = decode_campaign(
        b'{"budget": {"total": "0.02", "daily": "5", "per_channel": {"sms": "0.5", "email": "0"}}}', "x"
    )
    status = build_status(campaign, False, [tally(1), tally(2)], 86_399)
    assert status["as_of"] == "1970-01-01T23:59:59Z"
    assert status["messages"] == dict(zip(MESSAGE_STATES, [3, 0, 3, 6, 0, 0, 3, 0], strict=True))
    assert status["blocked"] == dict.fromkeys(REASONS, 3)
    assert status["by_channel"]["twitter"] == {
        "messages": 3,
        "committed": "0.003",
        "delivered": 3,
        "engaged": 3,
        "converted": 3,
    }
    assert status["budget"] == {
        "total": "0.02",
        "committed": "0.021",
        "spent": "0.0105",
        "remaining": "0.00",
        "today": {"committed": "0.03", "limit": "5.00"},
        "per_channel": {
            "email": {"total": "0.00", "committed": "0.003", "remaining": "0.00"},
            "sms": {"total": "0.50", "committed": "0.003", "remaining": "0.497"},
        },
    }
    assert status["performance"] == {
        "delivered": 21,
        "opened": 9,
        "clicked": 6,
        "converted": 3,
        "open_rate": round(9 / 21, 6),
        "click_rate": round(6 / 21, 6),
        "conversion_rate": round(3 / 21, 6),
        "cost_per_message": "0.00175",
        "cost_per_conversion": "0.0035",
        "revenue": "21.00",
        "roi": round((21 - 0.0105) / 0.0105, 6),
    }
    assert status["send_times"] == {"by_local_hour": [3] * 24}


def test_status_of_nothing_divides_by_nothing() -> None:
    status = build_status(decode_campaign(b"{}", "x"), True, [tally(0)], 0)
    assert status["state"] == "paused"
    assert status["budget"]["total"] is status["budget"]["remaining"] is status["budget"]["today"]["limit"] is None
    performance = status["performance"]
    for name in (
        "open_rate",
        "click_rate",
        "conversion_rate",
        "cost_per_message",
        "cost_per_conversion",
        "roi",
    ):
        assert performance[name] is None
    assert performance["revenue"] == "0.00"
