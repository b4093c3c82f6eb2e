"""Idempotency-Key: what a POST may bring along, and how an answer says that it was given before."""

from __future__ import annotations

from actors.keyed import Key
from api.context import AnyRequest
from engine.errors import RequestError

__all__ = ["KEY_HEADER", "REPLAYED", "REPLAYED_HEADER", "key_of"]

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
REPLAYED = {REPLAYED_HEADER: "true"}


def key_of(request: AnyRequest) -> Key | None:
    """The key of a request, with its path; None if it has none. Raises `RequestError` (400) for one that is wrong."""
    given = request.headers.getall(KEY_HEADER, [])
    if not given:
        return None
    if len(given) > 1:
        raise RequestError(400, f"A request takes one {KEY_HEADER}; this one has {len(given)}.")
    (text,) = given
    return Key.checked(text, request.scope["path"], KEY_HEADER)
