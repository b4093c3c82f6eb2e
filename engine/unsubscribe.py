"""One-click unsubscribing: the link in a message, and what message a link is of.

The rule: a link says only a message's id, and nobody makes one without the cluster's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

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

    def url_of(self, message_id: str) -> str | None:
        """Where one click unsubscribes from a message's channel; None where nobody reaches this server."""
        if not self._public_url:
            return None
        return f"{self._public_url}{UNSUBSCRIBE_PATH}{quote(self._token(message_id), safe='')}"

    def message_of(self, token: str) -> str | None:
        """The id of the message whose token this is; None where it was not made here."""
        message_id, _, _ = token.rpartition(".")
        matches = hmac.compare_digest(_bytes(token), _bytes(self._token(message_id)))
        return message_id if message_id and matches else None

    def _token(self, message_id: str) -> str:
        tag = hmac.digest(self._key, _bytes(message_id), hashlib.sha256)[:_TAG_BYTES]
        return f"{message_id}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
