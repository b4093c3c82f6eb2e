"""Changing a campaign so that every shard decides by the new one before anybody is told that it changed.

The shards take a change one after the other, each between two decisions, and say what they have spent. Until the
last has taken it the old limits are in force: who still decides by the old rules is served as ever, who decides by
the new ones waits for money. So no two limits ever hold at once, and nobody's decision changes rules half-way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from actors.answers import ActorUnreachable
from actors.recalls import Births
from actors.shard_link import ShardLink
from actors.standing import Report, Standing
from engine.errors import Conflict, ShardUnavailable
from engine.ledger import BudgetLedger, Limits
from engine.model import Campaign

__all__ = ["Changes", "Course"]

T = TypeVar("T")

RETRY_PAUSE_S = 0.2
"""Before a shard that did not answer is told once more."""


class Course:
    """One campaign at the ledger: how it stands, and which version is in force."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        """The newest; None until the first change begins."""
        self.in_force = 0
        """The version that every shard decides by."""
        self.one_acquire = asyncio.Lock()
        self.one_change = asyncio.Lock()
        self._arrival = asyncio.Condition()

    async def come_into_force(self, version: int) -> None:
        """Every shard decides by `version` now."""
        async with self._arrival:
            self.in_force = version
            self._arrival.notify_all()

    async def wait_for(self, version: int) -> None:
        """Waits until `version` is in force."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: self.in_force >= version)


class Changes:
    """Carries changes to the shards."""

    def __init__(self, book: BudgetLedger, links: Sequence[ShardLink], births: Births, timeout_s: float) -> None:
        self._book = book
        self._links = links
        self._births = births
        self._timeout_s = timeout_s
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, course: Course, campaign: Campaign) -> None:
        """Gives a campaign other rules and limits. Raises `Conflict` if it has messages that they contradict."""
        await self._in_time(campaign.id, self._put(course, campaign))

    async def set_paused(self, course: Course, paused: bool) -> None:
        """Pauses or resumes a campaign."""
        standing = course.standing
        assert standing is not None
        await self._in_time(standing.campaign.id, self._set_paused(course, paused))

    async def _in_time(self, campaign_id: str, change: Coroutine[Any, Any, None]) -> None:
        """A change that takes too long goes on all the same, and whoever asked for it is told."""
        task = asyncio.create_task(change)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            await asyncio.wait_for(asyncio.shield(task), self._timeout_s)
        except TimeoutError:
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise ShardUnavailable(
                f"Not every shard answers; the change of {campaign_id!r} is in force once all do."
            ) from None

    async def _put(self, course: Course, campaign: Campaign) -> None:
        async with course.one_change:
            before = course.standing
            if before is None:
                self._book.set_limits(campaign.id, Limits.of(campaign))
            elif differences := campaign.changes_fixed_by_messages(before.campaign):
                await self._refuse_if_it_has_messages(campaign.id, differences)
            await self._carry(course, campaign, before is not None and before.paused)

    async def _set_paused(self, course: Course, paused: bool) -> None:
        async with course.one_change:
            assert course.standing is not None
            if course.standing.paused != paused:
                await self._carry(course, course.standing.campaign, paused)

    async def _carry(self, course: Course, campaign: Campaign, paused: bool) -> None:
        version = 1 if course.standing is None else course.standing.version + 1
        course.standing = standing = Standing(campaign, paused, version)
        await asyncio.gather(*(self._confirm(shard, standing) for shard in range(len(self._links))))
        self._book.set_limits(campaign.id, Limits.of(campaign))
        await course.come_into_force(version)

    async def _confirm(self, shard: int, standing: Standing) -> None:
        """Until the shard decides by the standing. One that begins a new life gets it when it registers."""
        birth = self._births.next_of(shard)
        while not birth.is_set():
            try:
                report = await _unless(birth, self._links[shard].put_campaign(standing))
            except ActorUnreachable:
                await _unless(birth, asyncio.sleep(RETRY_PAUSE_S))
            except ShardUnavailable:
                await birth.wait()
            else:
                if report is not None:
                    self._note(shard, standing.campaign.id, report)
                return

    async def _refuse_if_it_has_messages(self, campaign_id: str, differences: list[str]) -> None:
        """Holds the campaign still on all shards; on success it stays so until the change is carried there."""
        outcomes = await asyncio.gather(*(link.freeze(campaign_id) for link in self._links), return_exceptions=True)
        reports = [outcome for outcome in outcomes if isinstance(outcome, Report)]
        for shard, outcome in enumerate(outcomes):
            if isinstance(outcome, Report):
                self._note(shard, campaign_id, outcome)
        has_messages = any(report.messages for report in reports)
        if len(reports) == len(outcomes) and not has_messages:
            return
        await asyncio.gather(*(link.thaw(campaign_id) for link in self._links), return_exceptions=True)
        if has_messages:
            raise Conflict(f"The campaign has messages; its {' and '.join(differences)} cannot change any more.")
        raise ShardUnavailable("Not every shard answers, so nobody knows whether the campaign has messages.")

    def _note(self, shard: int, campaign_id: str, report: Report) -> None:
        """A report counts unless the shard began another life since."""
        if report.incarnation == self._book.incarnation(shard):
            self._book.report(shard, report.incarnation, campaign_id, report.spent)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns, or None once `event` is set."""
    waiting, working = asyncio.create_task(event.wait()), asyncio.create_task(work)
    try:
        await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        waiting.cancel()
        working.cancel()
