"""Campaigns and recipients: what is taken, what is refused and where, what is answered."""

from __future__ import annotations

import json
import pickle
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._core import CHANNELS
from engine.errors import (
    RequestError,
)
from engine.event import (
    Event,
)
from engine.model import Campaign, Recipient, answer_campaign, decode_campaign
from engine.reading import pointer
from engine.scalars import Instant, decode_scalar, encode_scalar, scalar_schema

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
    "limits": {"daily_messages": 5000, "per_minute": 600, "daily_cap": 3, "weekly_cap": 10, "lookback_hours": 24},
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
    answer = json.loads(msgspec.json.encode(answer_campaign(campaign, "active"), enc_hook=encode_scalar))
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
        ({"limits": {"per_minute": 0}}, "/limits/per_minute"),
        ({"on_cap": "wait"}, "/on_cap"),
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
    ("changes", "takes"),
    [
        ({"urgency": "urgent"}, "urgency takes one of high, low, normal"),
        ({"on_cap": None}, "on_cap takes one of block, defer"),
        ({"max_attempts": "3"}, "max_attempts takes a whole number from 1 to 7"),
        ({"limits": {"per_minute": 0}}, "limits/per_minute takes a whole number from 1 to 1000000000"),
        ({"channels": {"priority": {"sms": -1}}}, "channels/priority/sms takes a whole number from 0 to 1000"),
        (
            {"channels": {"allowed": []}},
            f"channels/allowed takes a list of at least one of {', '.join(sorted(CHANNELS))}",
        ),
        ({"budget": 5}, "budget takes an object"),
        ({"id": "summer"}, "id takes the id of the path, or may be left out"),
    ],
)
def test_a_fault_says_what_the_field_takes(changes: dict[str, object], takes: str) -> None:
    with pytest.raises(RequestError) as raised:
        decode(**changes)
    assert raised.value.detail == f"The request is not valid: {takes}."
    ((path, message),) = raised.value.errors
    assert f"{path[1:]} {message}" == takes


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


def test_a_contradiction_is_named() -> None:
    faults = faults_of(json.dumps(SPRING | {"ends_at": "2026-01-01T00:00:00Z"}).encode())
    assert [path for path, _ in faults] == ["/ends_at"]


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
