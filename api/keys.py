"""Keys: who may call. Only digests of keys are ever kept."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from engine.config import is_loopback

__all__ = ["KeyGuard"]


class KeyGuard:
    """A Litestar guard: lets a request through if it bears one of the keys.

    `digests` are SHA-256 in hexadecimal. Every one is compared, in time that tells nothing of the key. Where there
    are none the server is bound to loopback; then a request must be meant for loopback, too, or any page that a
    browser on this machine shows could speak to it under a name of its own (DNS rebinding).
    """

    def __init__(self, digests: tuple[str, ...]) -> None:
        self._digests = digests

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """A coroutine, or Litestar would hand each request to a thread for it."""
        if not self._digests:
            if not is_loopback(_host_name(connection.headers.get("host", "localhost"))):
                raise PermissionDeniedException("Without a key only requests to a loopback address are answered.")
            return
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise NotAuthorizedException(headers={"WWW-Authenticate": "Bearer"})


def _host_name(host: str) -> str:
    """A Host header without its port and without the brackets of an IPv6 address."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name.strip("[]")
