"""Keys: who may call. Only digests of keys are ever kept."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from litestar.datastructures import Headers
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from engine.config import is_loopback

__all__ = ["KeyMiddleware"]


class KeyMiddleware(ASGIMiddleware):
    """Lets a request through if it bears one of the keys.

    `digests` are SHA-256 in hexadecimal. Every one is compared, in time that tells nothing of the key. Where there
    are none the server is bound to loopback; then a request must be meant for loopback, too, or any page that a
    browser on this machine shows could speak to it under a name of its own (DNS rebinding).
    No guard of Litestar's, which would cost a copy of the handler a request.
    """

    def __init__(self, digests: tuple[str, ...]) -> None:
        self._digests = digests

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Raises `PermissionDeniedException` or `NotAuthorizedException`."""
        headers = Headers.from_scope(scope)
        if self._digests:
            self._check_key(headers.get("authorization", ""))
        elif not _is_meant_for_loopback(headers.get("host", "localhost")):
            raise PermissionDeniedException("Without a key only requests to a loopback address are answered.")
        await next_app(scope, receive, send)

    def _check_key(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise NotAuthorizedException(headers={"WWW-Authenticate": "Bearer"})


@lru_cache(maxsize=64)
def _is_meant_for_loopback(host: str) -> bool:
    """By a Host header, with or without a port, an IPv6 address in brackets."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return is_loopback(name.strip("[]"))
