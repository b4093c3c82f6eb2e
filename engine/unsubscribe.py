"""One-click unsubscribing: the link in a message, and what message a link is of.

The rule: a link says only a message's id and the channel that it went by, since it may have gone on by another, and
nobody makes one without the cluster's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import cast
from urllib.parse import quote

from engine.model import Channel

__all__ = ["UNSUBSCRIBE_PATH", "Unsubscribes"]

UNSUBSCRIBE_PATH = "/api/v1/outreach/unsubscribe/"
"""Of links, under `delivery.public_url`; the token follows."""

_PURPOSE = b"madan-sara: links that unsubscribe"
_TAG_BYTES = 16


class Unsubscribes:
    """The links of a cluster: they hold as long as its state directory."""

    def __init__(self, secret: bytes, public_url: str) -> None:
        """`secret` is the cluster's, from which a key for this purpose only is derived. `public_url` may be empty."""
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)
        self._public_url = public_url.rstrip("/")

    def url_of(self, message_id: str, channel: str) -> str | None:
        """Where one click unsubscribes from a channel by which a message goes; None where nobody reaches this
        server."""
        if not self._public_url:
            return None
        return f"{self._public_url}{UNSUBSCRIBE_PATH}{quote(self._token(f'{message_id}.{channel}'), safe='')}"

    def message_of(self, token: str) -> tuple[str, Channel] | None:
        """The id of the message whose token this is, and the channel; None where it was not made here."""
        named, _, _ = token.rpartition(".")
        message_id, _, channel = named.rpartition(".")
        matches = hmac.compare_digest(_bytes(token), _bytes(self._token(named)))
        return (message_id, cast(Channel, channel)) if message_id and matches else None

    def _token(self, named: str) -> str:
        tag = hmac.digest(self._key, _bytes(named), hashlib.sha256)[:_TAG_BYTES]
        return f"{named}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
