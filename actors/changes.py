"""Changing a campaign so that every shard decides by the new one before anybody is told that it changed.

The shards take a change one after the other, each between two decisions, and say what they have spent. Until the
last has taken it the old limits are in force: who still decides by the old rules is served as ever, who decides by
the new ones waits for money. So no two limits ever hold at once, and nobody's decision changes rules half-way.

A change is on the disk before the first shard hears of it, and that shards are held still before the first is. So the
ledger's next life knows what was under way, and carries it on (`Changes.resume`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from actors.answers import ActorUnreachable
from actors.ledger_file import LedgerFile
from actors.ledger_records import CourseRecord
from actors.recalls import Births, Words
from actors.shard_link import ShardLink
from actors.standing import Demand, Report, Standing
from engine.errors import Conflict, ShardUnavailable
from engine.ledger import Limits
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
        self.held_still = False
        """Whether shards may be holding it still for a change that has not begun."""
        self.reopens = False
        """Whether shards must still hear that money came back."""
        self.one_acquire = asyncio.Lock()
        self.one_change = asyncio.Lock()
        self._arrival = asyncio.Event()

    @classmethod
    def of(cls, record: CourseRecord) -> Course:
        """As it was written."""
        course = cls()
        course.standing = Standing(record.campaign, record.paused, record.version)
        course.in_force = record.in_force
        course.held_still = record.held_still
        course.reopens = record.reopens
        return course

    def record(self) -> CourseRecord:
        """As it is to be written."""
        assert self.standing is not None
        return CourseRecord(*self.standing, self.in_force, self.held_still, self.reopens)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is under way that a next life would have to carry on."""
        return self.standing is None or (self.in_force == self.standing.version and not self.held_still)

    def come_into_force(self, version: int) -> None:
        """Every shard decides by `version` now."""
        self.in_force = version
        self._arrival.set()
        self._arrival = asyncio.Event()

    async def wait_for(self, version: int) -> None:
        """Waits until `version` is in force."""
        while self.in_force < version:
            await self._arrival.wait()


class Changes:
    """Carries changes to the shards."""

    def __init__(
        self, file: LedgerFile, links: Sequence[ShardLink], births: Births, words: Words, timeout_s: float
    ) -> None:
        self._file = file
        self._book = file.book
        self._links = links
        self._births = births
        self._words = words
        self._timeout_s = timeout_s
        self._under_way: set[asyncio.Task[None]] = set()
        self._awaited: dict[tuple[str, int], tuple[int, asyncio.Event]] = {}
        """By campaign and shard, the version that the shard is asked to take, and whether it was heard to have."""

    async def put(self, course: Course, campaign: Campaign) -> None:
        """Gives a campaign other rules and limits. Raises `Conflict` if it has messages that they contradict."""
        await self._in_time(campaign.id, self._put(course, campaign))

    async def set_paused(self, course: Course, paused: bool) -> None:
        """Pauses or resumes a campaign."""
        standing = course.standing
        assert standing is not None
        await self._in_time(standing.campaign.id, self._set_paused(course, paused))

    def resume(self, course: Course) -> None:
        """Carries on what the ledger's last life left half done."""
        if not course.is_whole:
            self._keep(asyncio.create_task(self._resume(course, self._next_births())))

    def hear(self, demand: Demand) -> None:
        """Who asks for money by a version has taken it. That is all that may be heard of it: while it waits for the
        version to be in force, it takes no call; and that it took it before, only the ledger's last life knew."""
        version, heard = self._awaited.get((demand.campaign_id, demand.shard), (0, None))
        if heard is not None and demand.version >= version and self._lives(demand.shard, demand.incarnation):
            self._note(demand.shard, demand.campaign_id, demand)
            heard.set()

    async def _in_time(self, campaign_id: str, change: Coroutine[Any, Any, None]) -> None:
        """A change that takes too long goes on all the same, and whoever asked for it is told."""
        task = asyncio.create_task(change)
        self._keep(task)
        try:
            await asyncio.wait_for(asyncio.shield(task), self._timeout_s)
        except TimeoutError:
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise ShardUnavailable(
                f"Not every shard answers; the change of {campaign_id!r} is in force once all do."
            ) from None

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _put(self, course: Course, campaign: Campaign) -> None:
        async with course.one_change:
            before = course.standing
            if before is None:
                self._book.set_limits(campaign.id, Limits.of(campaign))
            elif differences := campaign.changes_fixed_by_messages(before.campaign):
                await self._refuse_if_it_has_messages(course, campaign.id, differences)
            await self._carry(course, campaign, before is not None and before.paused)

    async def _set_paused(self, course: Course, paused: bool) -> None:
        async with course.one_change:
            assert course.standing is not None
            if course.standing.paused != paused:
                await self._carry(course, course.standing.campaign, paused)

    async def _carry(self, course: Course, campaign: Campaign, paused: bool) -> None:
        version = 1 if course.standing is None else course.standing.version + 1
        course.standing = Standing(campaign, paused, version)
        course.held_still = False  # whoever takes the new version is held no more
        births = self._next_births()
        self._file.put_course(course.record())
        await self._file.durable()
        await self._carry_on(course, births)

    def _next_births(self) -> list[asyncio.Event]:
        """To be asked for in the step that sets a standing: every shard that registers later is told of it then."""
        return [self._births.next_of(shard) for shard in range(len(self._links))]

    async def _carry_on(self, course: Course, births: Sequence[asyncio.Event]) -> None:
        standing = course.standing
        assert standing is not None
        await asyncio.gather(*(self._confirm(shard, birth, standing) for shard, birth in enumerate(births)))
        self._book.set_limits(standing.campaign.id, Limits.of(standing.campaign))
        course.come_into_force(standing.version)
        self._file.put_course(course.record())

    async def _resume(self, course: Course, births: Sequence[asyncio.Event]) -> None:
        async with course.one_change:
            assert course.standing is not None
            campaign_id = course.standing.campaign.id
            if course.held_still:
                await asyncio.gather(*(self._thaw(shard, birth, campaign_id) for shard, birth in enumerate(births)))
                course.held_still = False
                self._file.put_course(course.record())
            if course.in_force < course.standing.version:
                await self._carry_on(course, births)

    async def _confirm(self, shard: int, birth: asyncio.Event, standing: Standing) -> None:
        """Until the shard decides by the standing. One that begins a new life gets it when it registers."""
        campaign_id, heard = standing.campaign.id, asyncio.Event()
        self._awaited[campaign_id, shard] = (standing.version, heard)
        try:
            report = await self._tell([birth, heard], lambda: self._links[shard].put_campaign(standing))
        finally:
            del self._awaited[campaign_id, shard]
        if report is not None:
            self._note(shard, campaign_id, report)

    async def _thaw(self, shard: int, birth: asyncio.Event, campaign_id: str) -> None:
        """Until the shard holds the campaign still no more, as none does that begins a new life."""
        await self._tell([birth], lambda: self._links[shard].thaw(campaign_id))

    async def _tell(self, ends: Sequence[asyncio.Event], call: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Calls a shard until it answers; None if any of `ends` happens before."""
        while not any(end.is_set() for end in ends):
            try:
                return await _unless(ends, call())
            except ActorUnreachable:
                await _unless(ends, asyncio.sleep(RETRY_PAUSE_S))
            except ShardUnavailable:
                await _unless(ends, asyncio.Event().wait())
        return None

    async def _refuse_if_it_has_messages(self, course: Course, campaign_id: str, differences: list[str]) -> None:
        """Holds the campaign still on all shards; on success it stays so until the change is carried there."""
        course.held_still = True
        self._file.put_course(course.record())
        await self._file.durable()
        outcomes = await asyncio.gather(*(link.freeze(campaign_id) for link in self._links), return_exceptions=True)
        reports = [outcome for outcome in outcomes if isinstance(outcome, Report)]
        for shard, outcome in enumerate(outcomes):
            if isinstance(outcome, Report):
                self._note(shard, campaign_id, outcome)
        has_messages = any(report.messages for report in reports)
        if len(reports) == len(outcomes) and not has_messages:
            return
        await asyncio.gather(*(link.thaw(campaign_id) for link in self._links), return_exceptions=True)
        course.held_still = False
        self._file.put_course(course.record())
        if has_messages:
            raise Conflict(f"The campaign has messages; its {' and '.join(differences)} cannot change any more.")
        raise ShardUnavailable("Not every shard answers, so nobody knows whether the campaign has messages.")

    def _note(self, shard: int, campaign_id: str, report: Report | Demand) -> None:
        """A word counts unless the shard began another life since, or a later one was heard."""
        word = (shard, report.incarnation, campaign_id, report.word)
        if self._lives(shard, report.incarnation) and self._words.is_news(*word):
            self._book.report(shard, report.incarnation, campaign_id, report.spent)
            self._words.note(*word)

    def _lives(self, shard: int, incarnation: int) -> bool:
        return incarnation == self._book.incarnation(shard)


async def _unless(ends: Sequence[asyncio.Event], work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns, or None once any of `ends` happens."""
    waiting, working = [asyncio.create_task(end.wait()) for end in ends], asyncio.create_task(work)
    try:
        await asyncio.wait({*waiting, working}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (*waiting, working):
            task.cancel()
