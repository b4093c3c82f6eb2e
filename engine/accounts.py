"""One campaign's money: its limits, and what each shard spent and holds of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine._core import CHANNELS
from engine.budget_manager import Bucket, Grants
from engine.model import Budget, Campaign

__all__ = ["Account", "Entry", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a campaign may commit, in micro-units and messages; None, or a channel left out, is no bound."""

    total: int | None = None
    channels: Mapping[int, int] = field(default_factory=dict)
    daily: int | None = None
    """Of each of the campaign's local days, as is the next."""
    daily_messages: int | None = None
    per_minute: int | None = None
    """Messages in each UTC minute."""

    @classmethod
    def of(cls, campaign: Campaign) -> Limits:
        """The limits of a campaign."""
        budget = campaign.budget or Budget()
        channels = {CHANNELS.index(name): int(amount) for name, amount in budget.per_channel.items()}
        limits = campaign.limits
        total, daily = (None if amount is None else int(amount) for amount in (budget.total, budget.daily))
        return cls(total, channels, daily, limits.daily_messages, limits.per_minute)

    def on(self, bucket: Bucket) -> int | None:
        """The limit of a bucket."""
        kind, key = bucket
        match kind:
            case 0:
                return self.total
            case 1:
                return self.channels.get(key)
            case 2:
                return self.daily
            case 3:
                return self.daily_messages
            case 4:
                return self.per_minute
        raise ValueError(f"there is no bucket {bucket}")


@dataclass(slots=True)
class Entry:
    """One shard's page of an account."""

    spent: Counter[Bucket] = field(default_factory=Counter)
    held: Counter[Bucket] = field(default_factory=Counter)
    kept: dict[Bucket, int] = field(default_factory=dict)
    """Minutes that it held when it asked for something else; between `ask` and `grant`."""
    asking: int = 0
    """Number of the request that was noted last; 0 after a report that overtook it."""
    sequence: int = 0
    """Of the last request answered."""
    granted: Grants = field(default_factory=dict)
    """What that was granted of the buckets that it asked for."""


@dataclass(slots=True)
class Account:
    """One campaign."""

    limits: Limits
    entries: dict[int, Entry] = field(default_factory=dict)
    settled: Counter[Bucket] = field(default_factory=Counter)
    outstanding: Counter[Bucket] = field(default_factory=Counter)
    ceilings: dict[Bucket, int] = field(default_factory=dict)
    """What was settled and outstanding already when a lower limit came."""

    def free(self, bucket: Bucket) -> int | None:
        """What can be granted; None without a limit."""
        limit = self.limits.on(bucket)
        return None if limit is None else max(0, limit - self.settled[bucket] - self.outstanding[bucket])

    def excess(self, bucket: Bucket) -> int:
        """How much more is committed than the limit allows."""
        limit = self.limits.on(bucket)
        return 0 if limit is None else max(0, self.settled[bucket] + self.outstanding[bucket] - limit)
