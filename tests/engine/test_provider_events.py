"""What providers tell of messages: each event on its own, and nothing that keeps the others from being taken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.errors import RequestError
from engine.event import Event
from engine.provider_events import SENDGRID_EVENTS_MAX, sendgrid_events, twilio_events

ONE = {
    "email": "someone@example.com",
    "timestamp": 1_700_000_000,
    "event": "delivered",
    "sg_event_id": "ZGVsaXZlcmVk",
    "sg_message_id": "14c5d75ce93.dfd.64b469",
    "message_id": "m-1",
    "attempt": "0",
}


def sendgrid(*events: object) -> list[Event]:
    return sendgrid_events(msgspec.json.encode(events)).events


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"event": "delivered"}, "delivered"),
        ({"event": "open", "sg_machine_open": False}, "opened"),
        ({"event": "click", "url": "https://example.com/"}, "clicked"),
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, "bounced"),
        ({"event": "bounce"}, "bounced"),
        ({"event": "bounce", "type": "blocked", "status": "5.7.1"}, "failed"),
        ({"event": "bounce", "type": "expired"}, "failed"),
        ({"event": "dropped", "reason": "Invalid"}, "failed"),
        ({"event": "spamreport"}, "complained"),
        ({"event": "unsubscribe"}, "unsubscribed"),
        ({"event": "group_unsubscribe", "asm_group_id": 1}, "unsubscribed"),
    ],
    ids=str,
)
def test_what_sendgrid_tells_is_an_event(given: dict[str, Any], kind: str) -> None:
    (event,) = sendgrid(ONE | given)
    assert (event.type, event.id, event.message_id, event.at) == (kind, "sendgrid:ZGVsaXZlcmVk", "m-1", 1_700_000_000)


STRANGE: list[object] = [
    ONE | {"event": "processed"},
    ONE | {"event": "deferred", "type": "blocked"},
    ONE | {"event": "group_resubscribe"},
    ONE | {"event": "account_status_change"},
    ONE | {"event": 3},
    {name: value for name, value in ONE.items() if name != "message_id"},
    ONE | {"message_id": None},
    ONE | {"message_id": ""},
    ONE | {"message_id": "a\nb"},
    {name: value for name, value in ONE.items() if name != "sg_event_id"},
    ONE | {"sg_event_id": ""},
    ONE | {"sg_event_id": "x" * 120},
    None,
    3,
    "delivered",
    [ONE],
    {},
]


@pytest.mark.parametrize("strange", STRANGE, ids=range(len(STRANGE)))
def test_a_strange_event_of_sendgrids_is_left_out_alone(strange: object) -> None:
    others = [ONE | {"sg_event_id": "a"}, ONE | {"sg_event_id": "b"}]
    taken = sendgrid_events(msgspec.json.encode([others[0], strange, others[1]]))
    assert [event.id for event in taken.events] == ["sendgrid:a", "sendgrid:b"]
    assert taken.ignored == 1


def test_an_event_that_is_no_utf_8_or_says_a_thing_twice_is_left_out_alone() -> None:
    whole = msgspec.json.encode(ONE)
    broken = whole.replace(b"m-1", b"m-\xff")
    twice = whole.replace(b'"event"', b'"event":"open","event"')
    taken = sendgrid_events(b"[" + broken + b"," + whole + b"," + twice + b"]")
    assert taken.events[0] == sendgrid(ONE)[0]
    assert taken.ignored >= 1


@pytest.mark.parametrize("timestamp", [None, "soon", True, -1, 10**30, 1e300, [], {}])
def test_what_is_no_time_is_now(timestamp: object) -> None:
    (event,) = sendgrid(ONE | {"timestamp": timestamp})
    assert event.at is None


def test_a_time_that_lies_ahead_is_kept_for_the_engine_to_judge() -> None:
    (event,) = sendgrid(ONE | {"timestamp": 4_000_000_000.75})
    assert event.at == 4_000_000_000


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"null", b"[1,]", b"\xff", b"[" * 100_000])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refusal:
        sendgrid_events(body)
    assert refusal.value.status == 400


def test_a_list_is_bounded() -> None:
    assert sendgrid_events(b"[" + b",".join([b"{}"] * SENDGRID_EVENTS_MAX) + b"]").ignored == SENDGRID_EVENTS_MAX
    with pytest.raises(RequestError) as refusal:
        sendgrid_events(b"[" + b",".join([b"{}"] * (SENDGRID_EVENTS_MAX + 1)) + b"]")
    assert refusal.value.status == 413


def twilio(message_id: str | None = "m-1", **form: str) -> list[tuple[str, str, str]]:
    taken = twilio_events({"MessageSid": "SM1", "To": "+15550001"} | form, message_id)
    assert taken.ignored == (0 if taken.events else 1)
    assert all(event.at is None for event in taken.events)
    return [(event.id, event.type, event.message_id) for event in taken.events]


@pytest.mark.parametrize(
    ("status", "kind"),
    [("delivered", "delivered"), ("read", "opened"), ("failed", "failed"), ("undelivered", "failed")],
)
def test_what_twilio_tells_is_an_event(status: str, kind: str) -> None:
    assert twilio(MessageStatus=status) == [(f"twilio:SM1:{status}", kind, "m-1")]
    assert twilio(MessageStatus=status, ErrorCode="30003") == [(f"twilio:SM1:{status}", kind, "m-1")]


def test_a_number_that_answered_stop_unsubscribed_and_was_not_reached() -> None:
    assert twilio(MessageStatus="undelivered", ErrorCode="21610") == [
        ("twilio:SM1:undelivered", "failed", "m-1"),
        ("twilio:SM1:undelivered:stopped", "unsubscribed", "m-1"),
    ]
    assert twilio(MessageStatus="delivered", ErrorCode="21610") == [("twilio:SM1:delivered", "delivered", "m-1")]


@pytest.mark.parametrize(
    "form",
    [
        {"MessageStatus": "queued"},
        {"MessageStatus": "sent"},
        {"MessageStatus": "canceled"},
        {"MessageStatus": "Delivered"},
        {"MessageStatus": ""},
        {},
        {"MessageStatus": "delivered", "MessageSid": ""},
        {"MessageStatus": "delivered", "MessageSid": "S" * 120},
        {"MessageStatus": "delivered", "MessageSid": "S\n"},
    ],
    ids=str,
)
def test_what_says_nothing_is_ignored(form: dict[str, str]) -> None:
    assert twilio(**form) == []


@pytest.mark.parametrize("message_id", [None, "", "x" * 129, "a\0b"])
def test_what_names_no_message_is_ignored(message_id: str | None) -> None:
    assert twilio(message_id, MessageStatus="delivered") == []


def test_events_name_the_channel_of_the_attempt_that_they_are_about() -> None:
    assert [event.channel for event in sendgrid(ONE)] == ["email"]
    for to, channel in (("+15550001", "sms"), ("whatsapp:+15550001", "whatsapp"), (None, None)):
        form = {"MessageSid": "SM1", "MessageStatus": "failed", "ErrorCode": "21610"} | ({"To": to} if to else {})
        assert [event.channel for event in twilio_events(form, "m-1").events] == [channel] * 2
