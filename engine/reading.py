"""Reading JSON into the model: one place turns every fault into its path and a sentence."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from engine._core import CHANNELS, check_json
from engine.errors import FieldError, RequestError
from engine.scalars import decode_scalar

__all__ = ["convert", "fault_of", "not_valid", "pointer", "read_json"]

Kind = TypeVar("Kind")

_PLACE = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)
_NAME_LENGTH_MAX = 64

VALUES_MAX = 2_000_000
"""In one body, by its commas and opening brackets: three times what the largest sensible one has."""


def read_json(body: bytes) -> Any:
    """The value of a JSON body: UTF-8, bounded depth, no key twice.

    Raises `RequestError`: 400, and 413 for so many values that their objects would fill the memory.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > VALUES_MAX:
        raise RequestError(413, f"The body has more than {VALUES_MAX:,} values.")
    check_json(body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, "The body is not JSON that can be read.", [("", str(error))]) from None


def convert(value: Any, kind: type[Kind]) -> Kind:
    """`value`, read from JSON, as `kind`; raises `RequestError` (400) with the path of the fault."""
    try:
        return msgspec.convert(value, kind, dec_hook=decode_scalar)
    except msgspec.ValidationError as error:
        raise not_valid(*fault_of(error, value, kind)) from None


def not_valid(path: str, message: str) -> RequestError:
    """A request with one fault, told twice: by path, and as the sentence (as in engine/src/fault.rs).

    >>> not_valid("/budget/total", "is required").detail
    'The request is not valid: budget/total is required.'
    """
    return RequestError(400, f"The request is not valid: {path[1:] or 'the body'} {message}.", [(path, message)])


def pointer(steps: Iterable[str | int]) -> str:
    """The JSON pointer of a path.

    >>> pointer(["recipients", 3, "a/b"])
    '/recipients/3/a~1b'
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def fault_of(error: msgspec.ValidationError, value: Any, kind: type) -> FieldError:
    """The pointer and the sentence of what msgspec found wrong when it read `value` as `kind`."""
    text = str(error)
    try:
        return _located(text, value, kind)
    except (LookupError, TypeError, AttributeError, StopIteration):
        return "", "has a field that is not one here"  # whose name pretends to be a place


def _located(text: str, value: Any, kind: type) -> FieldError:
    place = _PLACE.search(text)
    message = text if place is None else text[: place.start()]
    steps: list[str | int] = []
    for name, index, some_key in _STEP.findall(place["path"] if place else ""):
        steps.append(_faulty_key(_at(value, steps), text, value, kind) if some_key else name or int(index))
    if place is not None and place["key"]:
        return pointer([*steps, _unknown_channel(_at(value, steps))]), "is not a channel"
    if field := _FIELD.fullmatch(message):
        unknown = field[1] == "contains unknown"
        return pointer([*steps, field[2][:_NAME_LENGTH_MAX]]), "is not a field here" if unknown else "is required"
    if message.startswith(("Expected", "Invalid enum value")):
        return pointer(steps), f"takes {_takes(_kind_at(kind, steps))}"
    return pointer(steps), message[:1].lower() + message[1:]


@functools.cache
def _kind(kind: type) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(kind)


def _kind_at(kind: type, steps: list[str | int]) -> msgspec.inspect.Type:
    """The type that `kind` has at a path, without the null beside it."""
    found = _kind(kind)
    for step in steps:
        match found:
            case msgspec.inspect.StructType(fields=fields):
                found = next(field.type for field in fields if field.encode_name == step)
            case msgspec.inspect.DictType(value_type=item):
                found = item
            case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
                found = item
        if isinstance(found, msgspec.inspect.UnionType):
            found = next(one for one in found.types if not isinstance(one, msgspec.inspect.NoneType))
    return found


def _takes(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
            one_of = isinstance(item, msgspec.inspect.LiteralType)
            return f"a list of at least {_takes(item)}" if one_of else "a list"
        case _:
            return "an object"


def _at(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        value = value[step]
    return value


def _unknown_channel(table: dict[str, Any]) -> str:
    return next(key for key in table if key not in CHANNELS)[:_NAME_LENGTH_MAX]


def _faulty_key(table: dict[str, Any], text: str, value: Any, kind: type) -> str:
    """The key in a map by channel whose value is at fault: msgspec leaves it out, so each is tried alone.

    Reading stops at the first fault, so at most one key for each channel is tried before it is found.
    """
    items = list(table.items())
    name = ""
    for name, entry in items:
        table.clear()
        table[name] = entry
        try:
            msgspec.convert(value, kind, dec_hook=decode_scalar)
        except msgspec.ValidationError as error:
            if str(error) == text:
                break
    table.clear()
    table.update(items)
    return name
