"""Lane: one channel's way out, and how much of it is free.

The rule: no more attempts at once than `max_concurrent`, and no more a second than `per_second`. Messages are claimed
somewhat ahead of that, so that the way is never idle while one asks for more; not too far, for a claim ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter

from actors.adapters.adapter import Adapter
from engine.settings import ChannelDelivery

__all__ = ["Lane"]

AHEAD = 4
"""Claims for each attempt that may be made at once."""

AHEAD_S = 10.0
"""As far ahead as it takes so long to make the attempts."""


class Lane:
    """Lives on one event loop."""

    def __init__(self, adapter: Adapter, bounds: ChannelDelivery) -> None:
        self.adapter = adapter
        self.capacity = AHEAD * bounds.max_concurrent
        self._limiter: AsyncLimiter | None = None
        if bounds.per_second > 0:
            self.capacity = min(self.capacity, max(1, int(AHEAD_S * bounds.per_second)))
            self._limiter = AsyncLimiter(1, 1 / bounds.per_second)  # evenly: a bucket of a second's worth could burst
        self._at_once = asyncio.Semaphore(bounds.max_concurrent)
        self.free = self.capacity
        """How many more may be claimed."""
        self.more_at: set[int] = set()
        """Shards at which more was due at their last look than there was room for."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For one attempt: first come, first served."""
        async with self._at_once:
            if self._limiter is not None:
                await self._limiter.acquire()
            yield

    def take(self, count: int) -> None:
        """Room for so many claims is taken, or given back where `count` is negative."""
        self.free -= count

    @property
    def is_half_free(self) -> bool:
        """Whether asking for more is worth a call."""
        return 2 * self.free >= self.capacity
