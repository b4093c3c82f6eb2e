"""The contract's scalars: what a text of a request must be, and the plain value it stands for.

Each is a subclass of `int` or `str` that reads itself from JSON (`read`, raising `ValueError` with what it
takes), writes itself back (`write`), and knows its JSON Schema. msgspec calls them through `decode_scalar`
and `encode_scalar`, so faults carry the path of the field.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, Protocol, Self, cast

from engine.money import AMOUNT_PATTERN, AMOUNT_TAKES, format_amount, parse_amount
from kernels.zones import ZONE_INDEX

__all__ = [
    "Amount",
    "Currency",
    "Identifier",
    "Instant",
    "MinuteOfDay",
    "Text",
    "ZoneName",
    "decode_scalar",
    "encode_scalar",
    "scalar_schema",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CONTROL_CHARACTERS = r"\u0000-\u001f\u007f-\u009f"
MINUTE_OF_DAY_PATTERN = "^([01][0-9]|2[0-3]):[0-5][0-9]$"


class Amount(int):
    """Money in micro-units, from 0 to below 10^18; `"12.50"` in JSON."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": AMOUNT_PATTERN, "examples": ["12.50"]}

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError(AMOUNT_TAKES)
        return cls(parse_amount(value))

    def write(self) -> str:
        return format_amount(self)


class Instant(int):
    """Whole seconds since the epoch, fractions dropped downwards; RFC 3339 in JSON, written with a `Z`."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "date-time"}
    takes: ClassVar[str] = 'takes an RFC 3339 time with an offset, such as "2026-03-01T05:00:00Z"'

    _text: ClassVar[re.Pattern[str]] = re.compile(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
        r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
    )

    @classmethod
    def read(cls, value: object) -> Self:
        match = cls._text.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(cls.takes)
        *date, second = (int(match.group(group)) for group in range(1, 7))
        sign, hours, minutes = match.group(7), int(match.group(8) or 0), int(match.group(9) or 0)
        if second > 60 or hours > 23 or minutes > 59:
            raise ValueError(cls.takes)
        offset = timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
        try:
            # A leap second is its minute's last: the clock that everything here runs on has none.
            moment = datetime(*date, min(second, 59), tzinfo=timezone(offset)).astimezone(UTC)  # type: ignore[misc, arg-type]
        except (ValueError, OverflowError):
            raise ValueError(cls.takes) from None
        return cls((moment - EPOCH) // timedelta(seconds=1))

    def write(self) -> str:
        return (EPOCH + timedelta(seconds=self)).replace(tzinfo=None).isoformat() + "Z"


class MinuteOfDay(int):
    """A local time of day as minutes from midnight [0, 1440); `"21:00"` in JSON."""

    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": MINUTE_OF_DAY_PATTERN,
        "examples": ["21:00"],
    }

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str) or not re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError('takes a time of day from "00:00" to "23:59"')
        return cls(int(value[:2]) * 60 + int(value[3:]))

    def write(self) -> str:
        return f"{self // 60:02d}:{self % 60:02d}"


class _Text(str):
    """A text that is its own JSON."""

    def write(self) -> str:
        return str(self)


class Identifier(_Text):
    """1 to 128 bytes of UTF-8 without control characters."""

    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": f"^[^{CONTROL_CHARACTERS}]+$",
    }

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= 128 or has_control_characters(value):
            raise ValueError("takes 1 to 128 bytes of text without control characters")
        return cls(value)


class Text(_Text):
    """A line for people: up to 200 characters without control characters."""

    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "maxLength": 200,
        "pattern": f"^[^{CONTROL_CHARACTERS}]*$",
    }

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str) or len(value) > 200 or has_control_characters(value):
            raise ValueError("takes up to 200 characters of text without control characters")
        return cls(value)


class Currency(_Text):
    """Three capital letters."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["USD"]}

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
            raise ValueError('takes a currency code of three capital letters, such as "USD"')
        return cls(value)


class ZoneName(_Text):
    """An IANA time zone that pytz knows."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["America/Port-au-Prince"]}

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str) or value not in ZONE_INDEX:
            raise ValueError('takes an IANA time zone such as "America/Port-au-Prince"')
        return cls(value)


class _Scalar(Protocol):
    schema: ClassVar[dict[str, Any]]

    @classmethod
    def read(cls, value: object) -> Self: ...

    def write(self) -> str: ...


def decode_scalar(kind: type, value: object) -> object:
    """msgspec's `dec_hook`."""
    return cast("type[_Scalar]", kind).read(value)


def encode_scalar(value: object) -> str:
    """msgspec's `enc_hook`."""
    return cast("_Scalar", value).write()


def scalar_schema(kind: type) -> dict[str, Any]:
    """msgspec's `schema_hook`: the JSON Schema of a scalar."""
    return cast("type[_Scalar]", kind).schema


def has_control_characters(text: str) -> bool:
    """Whether any character is one of Unicode's Cc."""
    return any(unicodedata.category(character) == "Cc" for character in text)
