"""Keys: who may call. Only digests of keys are ever kept."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

__all__ = ["KeyGuard"]


class KeyGuard:
    """A Litestar guard: lets a request through if it bears one of the keys, or if there are none.

    `digests` are SHA-256 in hexadecimal. Every one is compared, in time that tells nothing of the key.
    """

    def __init__(self, digests: tuple[str, ...]) -> None:
        self._digests = digests

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if not self._digests:
            return
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise NotAuthorizedException(headers={"WWW-Authenticate": "Bearer"})
