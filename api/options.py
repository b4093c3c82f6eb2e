"""Options in the query, for batches whose body is an Arrow stream: as the JSON that they would be in a body.

Whatever they say is judged where the options of JSON bodies are (engine/src/options.rs), so faults have the same words
and paths; here only text is made JSON.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from engine._core import check_json
from engine.errors import RequestError

__all__ = ["LISTS", "OBJECTS", "options_of"]

LISTS = {"channels"}
"""Given with commas."""
OBJECTS = {"content"}
"""Given as JSON."""
_TRUTH = {"true": b"true", "false": b"false"}
_BOOLEANS = {"dry_run", "explain"}


def options_of(query: bytes) -> bytes:
    """The JSON object of a query. Raises `RequestError` (400) where it cannot be read."""
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise RequestError(400, "The query is not percent-encoded UTF-8.") from None
    # Written by hand, so that a field that is given twice is, and can be refused.
    fields = (msgspec.json.encode(name) + b":" + _value(name, text) for name, text in pairs)
    return b"{" + b",".join(fields) + b"}"


def _value(name: str, text: str) -> bytes:
    if name in OBJECTS:
        return _checked(name, text.encode())
    if name in _BOOLEANS and text in _TRUTH:
        return _TRUTH[text]
    return msgspec.json.encode(text.split(",") if name in LISTS else text)


def _checked(name: str, text: bytes) -> bytes:
    """JSON as it was given, once it is known to be one whole value."""
    try:
        check_json(text)
    except RequestError as error:
        errors = [(f"/{name}{path}", message) for path, message in error.errors]
        raise RequestError(400, f"The option {name} is not JSON that can be read.", errors) from None
    return text
