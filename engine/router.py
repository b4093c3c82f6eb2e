"""Router: where everything lives.

The rule: XXH3-64 of a recipient's id gives one of 1,024 slots, a slot gives a shard (slot modulo shards); a
message's id carries its recipient's slot. The router reads the body of a request in one pass, places every
recipient, and hands each shard one buffer of columns; no Python object per recipient (Rust: engine/src/parser.rs).
"""

from __future__ import annotations

from engine._core import Request, RequestParser, message_shard, slot_of
from engine.form import JSON, Form
from kernels import ZONE_NAMES

__all__ = ["Router"]


class Router:
    """Routes to a fixed number of shards."""

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self._parser = RequestParser(ZONE_NAMES, shards)

    def parse_batch(self, body: bytes, form: Form = JSON) -> Request:
        """The body of `POST /send-batch`, placed. Raises `RequestError` (400, 413)."""
        if form.options is not None:
            return self._parser.parse_arrow_batch(form.options, body)
        return self._parser.parse_batch(body)

    def parse_send(self, body: bytes) -> Request:
        """The body of `POST /send`, placed. Raises `RequestError` (400; 422 for an invalid recipient)."""
        return self._parser.parse_send(body)

    def parse_profile(self, recipient_id: str, body: bytes) -> Request:
        """The body of `PUT /recipients/{id}`, placed. Raises `RequestError` (400, 422)."""
        return self._parser.parse_profile(recipient_id, body)

    def shard_of_recipient(self, recipient_id: str) -> int:
        """The shard that a recipient lives on."""
        return slot_of(recipient_id) % self.shards

    def home_of(self, text: str) -> int:
        """The shard that knows what an event's id or an idempotency key was used for."""
        return slot_of(text) % self.shards

    def shard_of_message(self, message_id: str) -> int | None:
        """The shard that a message lives on; None if this is no message's id."""
        return message_shard(message_id, self.shards)
