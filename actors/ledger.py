"""The budget ledger: one actor, the authority for campaigns, their money and the manual clock. It also publishes what
shards learn from each other (`actors.publications`).

Requests for money of one campaign are answered one after the other. Where less is free than a shard needs, the
others are asked to give back what they hold (`actors.recalls`); what a shard holds that died, or
does not answer, is neither granted again nor called the end of the money until it says what became of it.

The ledger is not restarted when it dies: a new one would have forgotten what was spent. The shards go on with the
slices they hold, and then answer `unavailable`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence

from actors.changes import Changes, Course
from actors.publications import Publications
from actors.recalls import Births, Recalls
from actors.shard_link import ActorLink, ShardLink
from actors.standing import Demand, Introduction, Registration, Standing
from actors.timeouts import Timeouts
from engine.budget_manager import Bucket, Grants
from engine.errors import Conflict, ShardUnavailable, UnknownCampaign
from engine.ledger import BudgetLedger
from engine.model import Campaign
from engine.scalars import Instant
from engine.settings import Settings

__all__ = ["LEDGER_NAME", "Ledger", "LedgerActor"]

LEDGER_NAME = "ledger"

CLOCK_START = 0
"""Where the manual clock starts: 1970-01-01T00:00:00Z."""

logger = logging.getLogger("madan_sara.ledger")


class Ledger:
    """What the actor does, on any way of reaching the shards. Lives on one event loop."""

    def __init__(self, settings: Settings, links: Sequence[ShardLink]) -> None:
        timeouts = Timeouts.of(settings)
        self._settings = settings
        self._now = CLOCK_START
        self._secret = secrets.token_bytes(16)
        self._identity = secrets.token_bytes(16)
        self._book = BudgetLedger(len(links))
        self._courses: dict[str, Course] = {}
        self._births = Births(len(links))
        self._acquiring: dict[tuple[int, str], tuple[tuple[int, int], asyncio.Task[Grants]]] = {}
        self._recalls = Recalls(self._book, links, self._births, timeouts.recall)
        self._changes = Changes(self._book, links, self._births, timeouts.answer)
        self._publications = Publications(settings, links, timeouts.learning)
        self._publishing: asyncio.Task[None] | None = None
        self._one_move = asyncio.Lock()
        self._reopening: set[asyncio.Task[None]] = set()

    async def settings(self) -> Settings:
        """The configuration that this cluster was started with."""
        return self._settings

    # ---- money ------------------------------------------------------------------------------------------

    async def introduce(self, shard: int) -> Introduction:
        """What a shard needs to read its file, before it registers."""
        return Introduction(self._identity, self._secret, self._book.incarnation(shard) > 0)

    async def register(self, shard: int, spent: dict[str, dict[Bucket, int]]) -> Registration:
        """Begins a life of a shard, which has spent this of each campaign in all its lives, and holds nothing."""
        incarnation = self._book.incarnation(shard) + 1
        freed = self._book.register(shard, incarnation, spent)
        self._births.register(shard)
        if self._publishing is None and self._settings.clock == "system":
            self._publishing = asyncio.create_task(self._publications.publish_for_ever(_system_time, asyncio.sleep))
        standings = [course.standing for course in self._courses.values() if course.standing is not None]
        for campaign_id in freed:  # others may have been told that there is no more
            self._reopening.add(task := asyncio.create_task(self.reopen(campaign_id)))
            task.add_done_callback(self._reopening.discard)
        return Registration(incarnation, standings, self._publications.latest)

    async def acquire(self, demand: Demand) -> Grants:
        """See `BudgetLedger.ask` and `grant`; recalls in between.

        Raises `ShardUnavailable` where another shard may have what is missing and does not give it back. A demand
        that is repeated joins the first at once: were it to queue behind another shard's, that one's recall would
        wait for the very grant that the first was answered with and the asker did not hear.
        """
        place, number = (demand.shard, demand.campaign_id), (demand.incarnation, demand.sequence)
        last = self._acquiring.get(place)
        if last is None or last[0] != number:
            last = self._acquiring[place] = (number, asyncio.create_task(self._acquire(demand)))
        return await asyncio.shield(last[1])

    async def _acquire(self, demand: Demand) -> Grants:
        shard, incarnation, sequence, version, campaign_id, spent, needs = demand
        course = self._course(campaign_id)
        await course.wait_for(version)
        async with course.one_acquire:
            if version != course.in_force:
                raise ShardUnavailable(f"Shard {shard} asked by rules of {campaign_id!r} that were replaced.")
            answer = self._book.ask(shard, incarnation, sequence, campaign_id, spent)
            if answer is not None:
                return answer
            await self._recalls.recall(campaign_id, self._book.in_the_way(campaign_id, shard, needs))
            return self._book.grant(shard, incarnation, sequence, campaign_id, needs)

    async def elsewhere(self, campaign_id: str, shard: int) -> dict[Bucket, int]:
        """See `BudgetLedger.elsewhere`."""
        return self._book.elsewhere(campaign_id, shard)

    async def reopen(self, campaign_id: str) -> None:
        """Money or a place came back on a shard. Recalls every slice, and with it the word that there was no more."""
        course = self._course(campaign_id)
        async with course.one_acquire:
            await self._recalls.recall(campaign_id, self._book.holders(campaign_id), reopens=True)

    async def audit(self) -> list[str]:
        """Every way in which the book does not balance; empty if it does."""
        return self._book.audit()

    async def spent(self, campaign_id: str) -> dict[Bucket, int]:
        """What counts as spent of each bucket, as far as it was reported."""
        return self._book.spent(campaign_id)

    # ---- campaigns --------------------------------------------------------------------------------------

    async def put_campaign(self, campaign: Campaign) -> None:
        """Creates or replaces a campaign; afterwards every shard decides by it.

        Raises `Conflict` if it has messages and its category, timezone or currency differ, `ShardUnavailable` if a
        shard has not taken it in time; it is in force then once that shard answers or begins a new life.
        """
        course = self._courses.setdefault(campaign.id, Course())
        await self._changes.put(course, campaign)

    async def set_paused(self, campaign_id: str, paused: bool) -> None:
        """Pauses or resumes a campaign; afterwards every shard knows. Raises as `put_campaign`."""
        await self._changes.set_paused(self._course(campaign_id), paused)

    async def get_campaign(self, campaign_id: str) -> Standing:
        """A campaign as it stands."""
        standing = self._course(campaign_id).standing
        assert standing is not None
        return standing

    async def list_campaigns(self) -> list[Standing]:
        """All campaigns, by id."""
        standings = (course.standing for _, course in sorted(self._courses.items()))
        return [standing for standing in standings if standing is not None]

    # ---- the clock --------------------------------------------------------------------------------------

    async def now(self) -> int:
        """The manual clock."""
        return self._now

    async def set_clock(self, now: int) -> None:
        """Moves the manual clock, and publishes what was learned until then.

        Raises `Conflict` if that would be backwards.
        """
        async with self._one_move:
            if now < self._now:
                raise Conflict(f"The clock stands at {Instant(self._now).write()} and does not go back.")
            await self._publications.publish(now)
            self._now = now

    def _course(self, campaign_id: str) -> Course:
        course = self._courses.get(campaign_id)
        if course is None or course.standing is None:
            raise UnknownCampaign(campaign_id)
        return course


def _system_time() -> int:
    return int(time.time())


class LedgerActor(Ledger):
    """The Ray actor."""

    def __init__(self, settings: Settings) -> None:
        timeouts = Timeouts.of(settings)
        super().__init__(settings, [ActorLink(index, timeouts) for index in range(settings.shards)])

    async def ping(self) -> bool:
        """Answers."""
        return True
