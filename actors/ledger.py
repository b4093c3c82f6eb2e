"""The budget ledger: the authority for campaigns, their money and the manual clock. It also publishes what shards learn
from each other (`actors.publications`).

Requests for money of one campaign are answered one after the other. Where less is free than a shard needs, the
others are asked to give back what they hold (`actors.recalls`); what a shard holds that died, or
does not answer, is neither granted again nor called the end of the money until it says what became of it.

Nothing is answered, an error included, before what it rests on is on the disk (`actors.ledger_file`). While that takes
its time the next requests are worked on, and share the next commit. A ledger that begins again therefore holds every
shard to what it was told, and who did not hear an answer asks again under the same number: a grant that was written
is given once more, one that was not never was.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from actors.changes import Changes, Course
from actors.ledger_file import LedgerFile
from actors.publications import Publications
from actors.recalls import Births, Recalls, Words
from actors.shard_link import ShardLink
from actors.standing import Demand, Introduction, Registration, Standing
from actors.timeouts import Timeouts
from engine.budget_manager import Bucket, Grants
from engine.errors import Conflict, ShardUnavailable, UnknownCampaign
from engine.model import Campaign
from engine.scalars import Instant
from engine.settings import Settings

__all__ = ["LEDGER_NAME", "Ledger"]

LEDGER_NAME = "ledger"


class Ledger:
    """What the actor does, on any way of reaching the shards. Lives on one event loop, where it is made."""

    def __init__(self, settings: Settings, links: Sequence[ShardLink], file: LedgerFile) -> None:
        """Goes on where the file ends, and carries on what was under way then."""
        timeouts = Timeouts.of(settings)
        self.settings = settings
        self._file = file
        self._now = file.now
        self._book = file.book
        self._courses: dict[str, Course] = {record.campaign.id: Course.of(record) for record in file.courses}
        self._births = Births(len(links))
        self._acquiring: dict[tuple[int, str], tuple[tuple[int, int], asyncio.Task[Grants]]] = {}
        words = self._words = Words()
        self._recalls = Recalls(self._book, links, self._births, words, timeouts.recall)
        self._changes = Changes(file, links, self._births, words, timeouts.answer)
        self._publications = Publications(settings, file, links, timeouts.learning)
        self._one_move = asyncio.Lock()
        self._reopening: dict[str, asyncio.Task[None]] = {}
        """Those that wait for their turn."""
        self._reopening_freed: Counter[str] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()
        if settings.clock == "system":
            self._keep(asyncio.create_task(self._publications.publish_for_ever(_system_time, asyncio.sleep)))
        for campaign_id, course in self._courses.items():
            self._changes.resume(course)
            if course.reopens:
                self._keep(asyncio.create_task(self._reopen_freed(campaign_id)))

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._file.durable()

    # ---- money ------------------------------------------------------------------------------------------

    async def introduce(self, shard: int) -> Introduction:
        """What a shard needs to read its file, before it registers."""
        async with self._answering():
            return Introduction(self._file.identity, self._file.secret, self._book.incarnation(shard))

    async def secret(self) -> bytes:
        """The cluster's, 16 bytes."""
        async with self._answering():
            return self._file.secret

    async def register(self, shard: int, incarnation: int, spent: dict[str, dict[Bucket, int]]) -> Registration:
        """Begins a life of a shard, which has spent this of each campaign in all its lives, and holds nothing.

        `incarnation`: the lives of its introduction, and one. Raises `Superseded` where a life began since then: the
        call was given up and asked again, and what it says is of before.
        """
        async with self._answering():
            for campaign_id in self._book.register(shard, incarnation, spent):
                course = self._courses[campaign_id]
                course.reopens = True  # others may have been told that there is no more
                self._file.put_course(course.record())
                self._keep(asyncio.create_task(self._reopen_freed(campaign_id)))
            self._births.register(shard)
            standings = [course.standing for course in self._courses.values() if course.standing is not None]
            return Registration(standings, self._publications.latest)

    async def acquire(self, demand: Demand) -> Grants:
        """See `BudgetLedger.ask` and `grant`; recalls in between.

        Raises `ShardUnavailable` where another shard may have what is missing and does not give it back. A demand
        that is repeated joins the first at once, or is answered as that was: were it to queue behind another shard's,
        that one's recall would wait for the very grant that the first was answered with and the asker did not hear.
        """
        place, number = (demand.shard, demand.campaign_id), (demand.incarnation, demand.sequence)
        last = self._acquiring.get(place)
        if last is not None and last[0] == number:
            return await asyncio.shield(last[1])
        task = asyncio.create_task(self._acquire(demand))
        if last is None or last[0] < number:
            self._acquiring[place] = (number, task)
        return await asyncio.shield(task)

    async def _acquire(self, demand: Demand) -> Grants:
        async with self._answering():
            course = self._course(demand.campaign_id)
            self._changes.hear(demand)
            await course.wait_for(demand.version)
            answer = self._book.answer(demand.shard, demand.incarnation, demand.sequence, demand.campaign_id)
            if answer is not None:  # by the life before, whose answer was not heard
                return answer
            async with course.one_acquire:
                return await self._acquire_alone(demand, course)

    async def _acquire_alone(self, demand: Demand, course: Course) -> Grants:
        shard, incarnation, sequence, version, campaign_id, spent, needs, word = demand
        if (incarnation, sequence) < self._acquiring[shard, campaign_id][0]:  # nobody waits for it any more
            raise ShardUnavailable(f"Shard {shard} asked for more since its request {sequence}.")
        if version != course.in_force:
            raise ShardUnavailable(f"Shard {shard} asked by rules of {campaign_id!r} that were replaced.")
        is_news = self._words.is_news(shard, incarnation, campaign_id, word)
        answer = self._book.ask(shard, incarnation, sequence, campaign_id, spent if is_news else {})
        self._words.note(shard, incarnation, campaign_id, word)
        if answer is not None:
            return answer
        await self._recalls.recall(campaign_id, self._book.in_the_way(campaign_id, shard, needs))
        return self._book.grant(shard, incarnation, sequence, campaign_id, needs)

    async def elsewhere(self, campaign_id: str, shard: int) -> dict[Bucket, int]:
        """See `BudgetLedger.elsewhere`."""
        async with self._answering():
            return self._book.elsewhere(campaign_id, shard)

    async def reopen(self, campaign_id: str) -> None:
        """Money or a place came back on a shard. Recalls every slice, and with it the word that there was no more.

        One that waits for its turn serves all who ask meanwhile: shards ask again while they are not answered, and
        would otherwise keep the turn from those who need money.
        """
        async with self._answering():
            course = self._course(campaign_id)
            task = self._reopening.get(campaign_id)
            if task is None:
                task = self._reopening[campaign_id] = asyncio.create_task(self._reopen_alone(campaign_id, course))
                self._keep(task)
            await asyncio.shield(task)

    async def _reopen_alone(self, campaign_id: str, course: Course) -> None:
        async with course.one_acquire:
            del self._reopening[campaign_id]
            await self._recalls.recall(campaign_id, self._book.holders(campaign_id), reopens=True)

    async def _reopen_freed(self, campaign_id: str) -> None:
        """As `reopen`; a next life does it again if this one does not come to the end of it."""
        self._reopening_freed[campaign_id] += 1
        try:
            await self.reopen(campaign_id)
        finally:
            self._reopening_freed[campaign_id] -= 1
        if not self._reopening_freed[campaign_id]:
            course = self._courses[campaign_id]
            course.reopens = False
            self._file.put_course(course.record())

    async def audit(self) -> list[str]:
        """Every way in which the book does not balance; empty if it does."""
        async with self._answering():
            return self._book.audit()

    async def spent(self, campaign_id: str) -> dict[Bucket, int]:
        """What counts as spent of each bucket, as far as it was reported."""
        async with self._answering():
            return self._book.spent(campaign_id)

    # ---- campaigns --------------------------------------------------------------------------------------

    async def put_campaign(self, campaign: Campaign) -> None:
        """Creates or replaces a campaign; afterwards every shard decides by it.

        Raises `Conflict` if it has messages and its category, timezone or currency differ, `ShardUnavailable` if a
        shard has not taken it in time; it is in force then once that shard answers or begins a new life.
        """
        async with self._answering():
            await self._changes.put(self._courses.setdefault(campaign.id, Course()), campaign)

    async def set_paused(self, campaign_id: str, paused: bool) -> None:
        """Pauses or resumes a campaign; afterwards every shard knows. Raises as `put_campaign`."""
        async with self._answering():
            await self._changes.set_paused(self._course(campaign_id), paused)

    async def get_campaign(self, campaign_id: str) -> Standing:
        """A campaign as it stands."""
        async with self._answering():
            standing = self._course(campaign_id).standing
            assert standing is not None
            return standing

    async def list_campaigns(self) -> list[Standing]:
        """All campaigns, by id."""
        async with self._answering():
            standings = (course.standing for _, course in sorted(self._courses.items()))
            return [standing for standing in standings if standing is not None]

    # ---- the clock --------------------------------------------------------------------------------------

    @property
    def stands_at(self) -> int:
        """The manual clock: where it stands on the disk. For any thread."""
        return self._now

    async def now(self) -> int:
        """The same."""
        return self._now

    async def set_clock(self, now: int) -> None:
        """Moves the manual clock, and publishes what was learned until then.

        Raises `Conflict` if that would be backwards.
        """
        now = int(now)  # an `Instant` is written as text
        async with self._one_move:
            if now < self._now:
                raise Conflict(f"The clock stands at {Instant(self._now).write()} and does not go back.")
            await self._publications.publish(now)
            self._file.put_clock(now)
            await self._file.durable()
            self._now = now

    # ---- inside -----------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Ends what is under way, writes what was changed, and lets go of the file."""
        for task in self._under_way:
            task.cancel()
        await self._file.close()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _course(self, campaign_id: str) -> Course:
        course = self._courses.get(campaign_id)
        if course is None or course.standing is None:
            raise UnknownCampaign(campaign_id)
        return course


def _system_time() -> int:
    return int(time.time())
