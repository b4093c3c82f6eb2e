"""Events and suppressions: a wrong one is named and leaves the others alone."""

from __future__ import annotations

import json

import pytest

from engine.errors import (
    RequestError,
)
from engine.event import (
    EVENTS_MAX,
    Event,
    EventFault,
    decode_events,
    decode_scope,
    decode_suppression,
)
from engine.reading import VALUES_MAX


def events_of(*events: object) -> list[Event | EventFault]:
    return decode_events(json.dumps({"events": events}).encode())


def test_a_wrong_event_leaves_the_others_alone() -> None:
    good = {"id": "e", "type": "converted", "message_id": "m", "at": "1970-01-01T00:00:09Z", "value": "2.5"}
    good |= {"channel": "sms"}
    first, wrong_type, nothing, no_message, value, channel, last = events_of(
        good,
        good | {"type": "sneezed"},
        3,
        {"id": "x", "type": "opened"},
        good | {"type": "opened"},
        good | {"channel": "pigeon"},
        good,
    )
    assert isinstance(first, Event)
    assert (first.at, first.value, first.channel) == (9, 2_500_000, "sms")
    assert last == first
    faults = [wrong_type, nothing, no_message, value, channel]
    assert [(fault.id, fault.errors[0][0]) for fault in faults if isinstance(fault, EventFault)] == [
        ("e", "/events/1/type"),
        (None, "/events/2"),
        ("x", "/events/3/message_id"),
        ("e", "/events/4/value"),
        ("e", "/events/5/channel"),
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
