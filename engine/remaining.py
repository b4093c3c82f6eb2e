"""Remaining: what was left of each limit when a row was decided, as far as its shard knew. For explanations.

Where the ledger said that there is no more anywhere, it is what the shard holds. Else it is the limit less what this
shard spent so far and what the ledger counts as spent or held elsewhere: exact on one shard, and on several at least
so much, since others may yet give back some of what they hold. Where the ledger does not answer nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from engine._core import CHANNELS
from engine.budget_manager import Bucket
from engine.model import Budget
from engine.rules import Rules

__all__ = ["ChannelTrace", "Elsewhere", "Remaining"]

Elsewhere = Mapping[Bucket, int]
"""What counts as spent or held on other shards, of each bucket."""


class ChannelTrace(TypedDict):
    """What the walk read for a channel that has a permitted minute; see `ChannelTrace` in the core."""

    channel: int
    planned_at: int
    at: int
    day: int
    daily_used: int
    weekly_used: int
    nearest_s: int | None
    viable: bool
    balances: list[tuple[int, bool, int]]
    """(held, last, spent) of the total, the channel, the day's money and its messages."""


class Remaining:
    """Of one campaign. `costs` are a message's, by channel; `elsewhere` is None where the ledger did not answer."""

    def __init__(self, rules: Rules, costs: Sequence[int], elsewhere: Elsewhere | None) -> None:
        self.costs = costs
        self._rules = rules
        self._budget = rules.campaign.budget or Budget()
        self._elsewhere = elsewhere

    def money(self, traced: ChannelTrace) -> dict[str, int | None]:
        """Micro-units left for a channel, by the budgets that limit it; None: nobody knows."""
        per_channel = self._budget.per_channel.get(CHANNELS[traced["channel"]])  # type: ignore[call-overload]
        limits = {"total": self._budget.total, "per_channel": per_channel, "daily": self._budget.daily}
        keys = (0, traced["channel"], traced["day"])
        return {
            name: self._left(traced, (kind, keys[kind]), limit)
            for kind, (name, limit) in enumerate(limits.items())
            if limit is not None
        }

    def messages(self, traced: ChannelTrace) -> int | None:
        """Messages left of a channel's day; None: without a limit, or nobody knows."""
        limit = self._rules.campaign.limits.daily_messages
        return None if limit is None else self._left(traced, (3, traced["day"]), limit)

    def fits(self, traced: ChannelTrace) -> dict[str, bool | None]:
        """Whether the channel's cost fits each budget that limits it, as the walk saw it; None: nobody asked."""
        cost = self.costs[traced["channel"]]
        return {
            name: True if cost == 0 else None if left is None else cost <= left
            for name, left in self.money(traced).items()
        }

    def _left(self, traced: ChannelTrace, bucket: Bucket, limit: int) -> int | None:
        held, last, spent = traced["balances"][bucket[0]]
        if last:
            return held
        if self._elsewhere is None:
            return None
        return max(held, limit - spent - self._elsewhere.get(bucket, 0))
