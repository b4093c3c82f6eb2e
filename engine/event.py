"""Events and suppressions as users send them: what became of a message, and a hard stop."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from engine._core import CHANNELS
from engine.errors import FieldError, RequestError
from engine.model import Channel
from engine.reading import convert, fault_of, read_json
from engine.scalars import Amount, Identifier, Instant, Text, decode_scalar

__all__ = [
    "EVENTS_MAX",
    "Event",
    "EventFault",
    "EventType",
    "Suppression",
    "SuppressionScope",
    "decode_events",
    "decode_scope",
    "decode_suppression",
]

EVENTS_MAX = 100_000
"""Of one request; more are refused with 413."""

EventType: TypeAlias = Literal[
    "delivered",
    "opened",
    "clicked",
    "replied",
    "converted",
    "failed",
    "bounced",
    "complained",
    "unsubscribed",
]
SuppressionScope: TypeAlias = Literal[Channel, "all"]


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened to a message. `at` defaults to the time of the request.

    `channel` says which of the message's attempts it is about, where that is known; without it bad news is about the
    attempt that was made last. Only `converted` has a `value`; without one it has the campaign's `conversion_value`.
    """

    id: Identifier
    type: EventType
    message_id: Identifier
    channel: Channel | None = None
    at: Instant | None = None
    value: Amount | None = None


class EventFault(Struct, frozen=True, kw_only=True):
    """An event that is wrong: its id where that is sound, and its faults by path from the request's root."""

    id: str | None
    errors: list[FieldError]


class Suppression(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hard stop up to `until` (not included; null: for good), and why."""

    until: Instant | None = None
    reason: Text | None = None


class _Events(Struct, forbid_unknown_fields=True):
    events: list[Any]


def decode_events(body: bytes) -> list[Event | EventFault]:
    """The events of a request in order; what is wrong with one leaves the others alone.

    Raises `RequestError`: 400 for what is wrong outside an event, 413 for too many.
    """
    events = convert(read_json(body), _Events).events
    if len(events) > EVENTS_MAX:
        raise RequestError(413, f"A request takes up to {EVENTS_MAX:,} events; this one has {len(events):,}.")
    return [_decode_event(value, f"/events/{index}") for index, value in enumerate(events)]


def decode_suppression(body: bytes) -> Suppression:
    """The suppression of a request, whose body may be empty. Raises `RequestError` (400)."""
    return convert(read_json(body), Suppression) if body else Suppression()


def decode_scope(text: str) -> str:
    """A channel or `all`, from a path. Raises `RequestError` (404): anything else is no place there is."""
    if text != "all" and text not in CHANNELS:
        raise RequestError(404, f"{text[:64]!r} is neither a channel nor all.")
    return text


def _decode_event(value: object, path: str) -> Event | EventFault:
    try:
        event = msgspec.convert(value, Event, dec_hook=decode_scalar)
    except msgspec.ValidationError as error:
        where, message = fault_of(error, value, Event)
        return EventFault(id=_id_of(value), errors=[(path + where, message)])
    if event.value is not None and event.type != "converted":
        return EventFault(id=event.id, errors=[(path + "/value", "belongs to converted events only")])
    return event


def _id_of(value: object) -> str | None:
    given = value.get("id") if isinstance(value, dict) else None
    try:
        return Identifier.read(given)
    except ValueError:
        return None
