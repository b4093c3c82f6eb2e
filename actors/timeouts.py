"""How long each caller waits, as inequalities: whoever waits for others outlasts them.

RELEASE < recall < acquire,   ATTEMPTS x acquire < answer,   RELEASE < learning,   2 x learning < answer
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.config import Settings

__all__ = ["ACQUIRE_ATTEMPTS", "START_TIMEOUT_S", "Timeouts"]

START_TIMEOUT_S = 180.0
"""For all actors to answer first: on a cold cache each compiles the kernels."""

ACQUIRE_ATTEMPTS = 2
"""How often a shard asks the ledger with one sequence number; it gets one answer, however often it asks."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, all shares of `limits.shard_timeout_ms`."""

    answer: float
    """A caller for a shard's or the ledger's answer."""
    acquire: float
    """A shard for one answer to a request for money."""
    recall: float
    """The ledger for the other shards to give their slices back."""
    release: float
    """A shard that is asked for a slice back, for that slice to arrive."""
    learning: float
    """The ledger for all shards to say what they learned, and again for them to hear what is published."""

    @classmethod
    def of(cls, settings: Settings) -> Timeouts:
        """The timeouts of a configuration."""
        answer = settings.limits.shard_timeout_ms / 1000
        return cls(
            answer=answer, acquire=0.45 * answer, recall=0.3 * answer, release=0.2 * answer, learning=0.3 * answer
        )
