"""Recalling slices: the ledger asks shards for what they hold of a campaign, so that another can have it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from actors.answers import ActorUnreachable, NoAnswerInTime
from actors.shard_link import ShardLink
from actors.standing import Report
from engine.errors import ShardUnavailable
from engine.ledger import BudgetLedger

__all__ = ["Births", "Recalls", "Words"]

RETRY_PAUSE_S = 0.2
"""Before a shard that could not be reached is asked once more."""


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


class Words:
    """Which word of a shard about what it spent of a campaign is the latest.

    On the way they overtake each other, and where money came back the older one says more than was spent. Those that
    an earlier life of the ledger noted need not be known: what it did not answer is said again.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[int, str], tuple[int, int]] = {}

    def is_news(self, shard: int, incarnation: int, campaign_id: str, word: int) -> bool:
        """Whether it is later than all that were noted."""
        return (incarnation, word) > self._latest.get((shard, campaign_id), (0, 0))

    def note(self, shard: int, incarnation: int, campaign_id: str, word: int) -> None:
        """The book has it."""
        last = self._latest.get((shard, campaign_id), (0, 0))
        self._latest[shard, campaign_id] = max(last, (incarnation, word))


class Recalls:
    """The recalls under way. A shard that takes too long is not asked twice, and its late report still counts."""

    def __init__(
        self, book: BudgetLedger, links: Sequence[ShardLink], births: Births, words: Words, timeout_s: float
    ) -> None:
        self._book = book
        self._links = links
        self._births = births
        self._words = words
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
        while not birth.is_set():
            try:
                report = await self._links[shard].release(campaign_id, sequence, reopens)
            except ActorUnreachable as error:
                if isinstance(error, NoAnswerInTime):
                    return
                # It is between two lives. Or it has registered and Ray takes it for dead a moment longer: then there
                # is no birth to wait for.
                with suppress(TimeoutError):
                    await asyncio.wait_for(birth.wait(), RETRY_PAUSE_S)
            except ShardUnavailable:
                return  # it still holds its slice, as does one too slow; whoever needs that asks again
            else:
                self._note(campaign_id, shard, sequence, report)
                return

    def _note(self, campaign_id: str, shard: int, sequence: int, report: Report) -> None:
        word = (shard, report.incarnation, campaign_id, report.word)
        if self._words.is_news(*word) and self._book.recalled(
            shard, report.incarnation, sequence, campaign_id, report.spent
        ):
            self._words.note(*word)
