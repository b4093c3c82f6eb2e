"""The library `limits` with its moving window in memory: caps of a day and a week, exactly, and nothing else.

It knows no channels, gaps, duplicates, zones, money or campaigns, and looks back only: a message scheduled for
tomorrow counts from when it was asked for. The two caps are two calls, and another thread may come between them. What
it knows ends with its process.
"""

from __future__ import annotations

from collections.abc import Sequence

from limits import RateLimitItemPerDay
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from bench.checks import DAILY_CAP, WEEKLY_CAP
from bench.peers.cap_asks import rates
from bench.peers.peer import Peer

__all__ = ["PEER", "Caps"]


class Caps:
    """Both caps of everyone."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._daily = RateLimitItemPerDay(DAILY_CAP)
        self._weekly = RateLimitItemPerDay(WEEKLY_CAP, multiples=7)

    def admit(self, people: Sequence[str]) -> list[bool]:
        """Whether each may have one more message, which then counts."""
        hit, test, daily, weekly = self._limiter.hit, self._limiter.test, self._daily, self._weekly
        return [test(weekly, person) and hit(daily, person) and hit(weekly, person) for person in people]


PEER = Peer(
    does="checks",
    lacks="caps alone, in memory: no channel gaps, duplicates, send times or money, and nothing outlives the process",
    measure=lambda: rates(lambda: Caps().admit),
)
