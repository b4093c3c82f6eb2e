"""The library `throttled-py` with its sliding window in memory: caps of a day and a week, about, and nothing else.

Its window is two counters, the last day's weighted by what is left of it: people who wrote early in a day are held
for less than 24 hours, others for more. It knows no channels, gaps, duplicates, zones, money or campaigns, and looks
back only. The two caps are two calls, and what the daily one refuses has used the weekly one if that was asked first;
so it is asked last, and one that the week refuses has used the day. What it knows ends with its process, and sooner
for whoever was asked about least recently: the store holds 1,024 keys unless it is told a size, as here.
"""

from __future__ import annotations

from collections.abc import Sequence

from throttled import MemoryStore, RateLimiterType, Throttled, per_day, per_week

from bench.checks import DAILY_CAP, WEEKLY_CAP
from bench.peers.cap_asks import PEOPLE, rates
from bench.peers.peer import Peer

__all__ = ["PEER", "Caps"]

KEYS_MAX = 4 * PEOPLE
"""Two of everyone, and again at midnight."""


class Caps:
    """Both caps of everyone."""

    def __init__(self) -> None:
        store, window = MemoryStore(options={"MAX_SIZE": KEYS_MAX}), RateLimiterType.SLIDING_WINDOW.value
        self._daily = Throttled(using=window, quota=per_day(DAILY_CAP), store=store, key_prefix="day")
        self._weekly = Throttled(using=window, quota=per_week(WEEKLY_CAP), store=store, key_prefix="week")

    def admit(self, people: Sequence[str]) -> list[bool]:
        """Whether each may have one more message, which then counts."""
        daily, weekly = self._daily.limit, self._weekly.limit
        return [not daily(person).limited and not weekly(person).limited for person in people]


PEER = Peer(
    does="checks",
    lacks="caps alone, in memory and about: its window is an estimate from two counters; no channel gaps, duplicates, "
    "send times or money, and nothing outlives the process",
    measure=lambda: rates(lambda: Caps().admit),
)
