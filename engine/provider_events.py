"""What providers tell of messages, as events of ours.

The rule: nothing that one event says, however strange, keeps the others from being taken; what is not about a message
of ours, or says nothing of what became of it, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from engine.errors import RequestError
from engine.event import Event, EventType
from engine.model import Channel
from engine.scalars import Identifier, Instant

__all__ = ["SENDGRID_EVENTS_MAX", "ProviderEvents", "sendgrid_events", "twilio_events"]

SENDGRID_EVENTS_MAX = 10_000
"""Of one request; more are refused with 413. SendGrid sends far fewer."""

_TIME_END = Instant.read("9000-01-01T00:00:00Z")

_OF_SENDGRID: Mapping[str, EventType] = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "dropped": "failed",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
"""All but `bounce`, whose type counts as well."""

_OF_TWILIO: Mapping[str, EventType] = {
    "delivered": "delivered",
    "read": "opened",
    "failed": "failed",
    "undelivered": "failed",
}
_STOPPED = "21610"
"""Twilio's error of a number that answered STOP."""


class ProviderEvents(NamedTuple):
    """Events to be taken, in order, and how many of the provider's were left out."""

    events: list[Event]
    ignored: int


class _SendGridEvent(Struct, frozen=True):
    """The fields that matter here; `message_id` is the custom argument that the adapter sends along."""

    event: str
    sg_event_id: str
    message_id: str
    timestamp: Any = None
    type: str = "bounce"


def sendgrid_events(body: bytes) -> ProviderEvents:
    """The events of a request of SendGrid's. Raises `RequestError`: 400 where it is no list, 413 for too many."""
    try:
        values = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RequestError(400, "The body is not a JSON list of events.") from None
    if len(values) > SENDGRID_EVENTS_MAX:
        raise RequestError(413, f"A request takes up to {SENDGRID_EVENTS_MAX:,} events; this one has {len(values):,}.")
    found = [_of_sendgrid(value) for value in values]
    events = [event for event in found if event is not None]
    return ProviderEvents(events, len(values) - len(events))


def twilio_events(form: Mapping[str, str], message_id: str | None) -> ProviderEvents:
    """The events of a status callback of Twilio's, for the message that the callback's URL names.

    A number that answered STOP did not get the message, and is not to get another.
    """
    status, sid = form.get("MessageStatus", ""), form.get("MessageSid", "")
    kind = _OF_TWILIO.get(status)
    if kind is None or not sid or not message_id:
        return ProviderEvents([], 1)
    kinds: list[tuple[str, EventType]] = [(status, kind)]
    if kind == "failed" and form.get("ErrorCode") == _STOPPED:
        kinds.append((f"{status}:stopped", "unsubscribed"))
    to = form.get("To")
    channel: Channel | None = None if to is None else "whatsapp" if to.startswith("whatsapp:") else "sms"
    found = [_event(f"twilio:{sid}:{mark}", one, message_id, channel, None) for mark, one in kinds]
    events = [event for event in found if event is not None]
    return ProviderEvents(events, 0 if events else 1)


def _of_sendgrid(value: msgspec.Raw) -> Event | None:
    try:
        given = msgspec.json.decode(value, type=_SendGridEvent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if given.event == "bounce":  # other types of it may pass: what was blocked, say, is no fault of the address
        kind: EventType | None = "bounced" if given.type == "bounce" else "failed"
    else:
        kind = _OF_SENDGRID.get(given.event)
    if kind is None or not given.sg_event_id:
        return None
    return _event(f"sendgrid:{given.sg_event_id}", kind, given.message_id, "email", _instant(given.timestamp))


def _event(
    event_id: str, kind: EventType, message_id: str, channel: Channel | None, at: Instant | None
) -> Event | None:
    try:
        ids = Identifier.read(event_id), Identifier.read(message_id)
    except ValueError:
        return None
    return Event(id=ids[0], type=kind, message_id=ids[1], channel=channel, at=at)


def _instant(timestamp: object) -> Instant | None:
    """None, which is now, for what is no time."""
    if not isinstance(timestamp, int | float) or isinstance(timestamp, bool):
        return None
    return Instant(timestamp) if 0 <= timestamp < _TIME_END else None
