"""Recalling slices: the ledger asks shards for what they hold of a campaign, so that another can have it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from actors.answers import ActorUnreachable, NoAnswerInTime
from actors.shard_link import ShardLink
from engine.errors import ShardUnavailable
from engine.ledger import BudgetLedger

__all__ = ["Births", "Recalls"]


class Births:
    """Lets one wait for the next life of a shard, which ends all doubt about what the last one holds."""

    def __init__(self, shards: int) -> None:
        self._next = [asyncio.Event() for _ in range(shards)]

    def next_of(self, shard: int) -> asyncio.Event:
        """Set when the shard registers next."""
        return self._next[shard]

    def register(self, shard: int) -> None:
        """The shard begins a life."""
        self._next[shard].set()
        self._next[shard] = asyncio.Event()


class Recalls:
    """The recalls under way. A shard that takes too long is not asked twice, and its late report still counts."""

    def __init__(self, book: BudgetLedger, links: Sequence[ShardLink], births: Births, timeout_s: float) -> None:
        self._book = book
        self._links = links
        self._births = births
        self._timeout_s = timeout_s
        self._under_way: dict[tuple[str, int, int, bool], asyncio.Task[None]] = {}

    async def recall(self, campaign_id: str, holders: Iterable[tuple[int, int]], reopens: bool = False) -> None:
        """Recalls the slices of (shard, sequence of its last grant), and waits until each is back or time is up.

        With `reopens` minutes that were full may have a place again, and the shards forget that they were.
        """
        tasks = [self._task(campaign_id, shard, sequence, reopens) for shard, sequence in holders]
        if tasks:
            await asyncio.wait(tasks, timeout=self._timeout_s)

    def _task(self, campaign_id: str, shard: int, sequence: int, reopens: bool) -> asyncio.Task[None]:
        key = (campaign_id, shard, sequence, reopens)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._recall_one(campaign_id, shard, sequence, reopens))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return task

    async def _recall_one(self, campaign_id: str, shard: int, sequence: int, reopens: bool) -> None:
        birth = self._births.next_of(shard)
        try:
            report = await self._links[shard].release(campaign_id, sequence, reopens)
        except ActorUnreachable as error:
            if not isinstance(error, NoAnswerInTime):
                await birth.wait()
        except ShardUnavailable:
            return  # it still holds its slice, as does one too slow; whoever needs that asks again
        else:
            self._book.recalled(shard, report.incarnation, sequence, campaign_id, report.spent)
