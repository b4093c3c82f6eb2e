"""What an idempotency key stands for: the request that it came with first."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["Begun", "Claim"]


class Claim(NamedTuple):
    """A key and its request as digests of 16 bytes: neither is sent or kept as it is."""

    key: bytes
    request: bytes
    began_at: int
    """When the key was bound; where it is to be bound, now."""

    @classmethod
    def of(cls, key: str, path: str, body: bytes, now: int) -> Claim:
        """The claim of a request that came with a key."""
        request = hashlib.blake2b(len(path).to_bytes(8, "little"), digest_size=16)
        request.update(path.encode())
        request.update(body)
        return cls(hashlib.blake2b(key.encode(), digest_size=16).digest(), request.digest(), now)


class Begun(NamedTuple):
    """What a key's home says."""

    first: bool
    """It was not bound before."""
    running: bool
    """Another is at it."""
    name: int
    """Drawn when it was bound, [0, 2^128)."""
    began_at: int
    answer: bytes | None
    """What was answered, where the home keeps it."""
