"""Keys: who may call. Only digests of keys are ever kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache

from litestar.exceptions import NotAuthorizedException, PermissionDeniedException

from engine.loopback import is_loopback

__all__ = ["Keys"]


class Keys:
    """Lets a request through if it bears one of the keys.

    `digests` are SHA-256 in hexadecimal. Every one is compared, in time that tells nothing of the key. Where there
    are none the server is bound to loopback; then a request must be meant for loopback, too, or any page that a
    browser on this machine shows could speak to it under a name of its own (DNS rebinding).
    No guard of Litestar's, which would cost a copy of the handler a request.
    """

    def __init__(self, digests: tuple[str, ...]) -> None:
        self._digests = digests

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raises `PermissionDeniedException` or `NotAuthorizedException`."""
        if self._digests:
            self._check_key(_first(headers, b"authorization", b"").decode("latin-1"))
        elif not _is_meant_for_loopback(_first(headers, b"host", b"localhost")):
            raise PermissionDeniedException("Without a key only requests to a loopback address are answered.")

    def _check_key(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise NotAuthorizedException(headers={"WWW-Authenticate": "Bearer"})


def _first(headers: Iterable[tuple[bytes, bytes]], name: bytes, otherwise: bytes) -> bytes:
    return next((value for given, value in headers if given == name), otherwise)


@lru_cache(maxsize=64)
def _is_meant_for_loopback(header: bytes) -> bool:
    """By a Host header, with or without a port, an IPv6 address in brackets."""
    host = header.decode("latin-1")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return is_loopback(name.strip("[]"))
