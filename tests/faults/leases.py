"""A lease whose ledger, shard or both die at each of its steps, and die again at any step after that.

A lap is the life of some leases of one campaign with money or places for a few: a shard is granted a slice and spends
from it, is killed and registers with what it spent, is granted another, and has to give it back, for the other shard
wants all there is; then messages are cancelled, and somebody else gets what came back. Clients repeat with their keys.
Laps are run until both strikes have struck. Then what clients were told must be so, to the last cent.

The shards, their cores and files, the ledger, its book and file and the links between are the real ones; in place of
Ray and its processes there are threads (`tests.faults.processes`).
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from itertools import count as count_from
from itertools import product
from typing import Any, cast

import msgspec

from actors.cluster import Cluster
from engine.model import Campaign, decode_campaign
from tests.actors.state_crashes import quick_directory
from tests.faults.kills import Plan, Round, until_ready
from tests.faults.machine import SHARDS, Machine, Strike, running_machine
from tests.faults.told import check_told
from tests.faults.waiting import who_waits

STEPS = (
    # asked, granted and not on the disk, on the disk and not answered, received and nothing spent
    "acquire sent", "acquire noted", "acquire written", "acquire answered",
    # spent and not on the disk, on the disk and nobody told
    "spend noted", "spend written",
    # asked for the slice, given back and the ledger has not heard, heard and not on the disk, on the disk
    "release asked", "release reported", "settle noted", "settle written",
    # the same by a next life, which tells what it spent by its file and holds nothing
    "register sent", "register noted", "register written", "register answered",
    # what comes back: not on the shard's disk, on it, asked to say so to the others, done
    "cancel noted", "cancel written", "reopen sent", "reopen noted", "reopen answered",
)  # fmt: skip
PAIRS = [*product(STEPS, STEPS)]
DEATHS = [*product(("ledger", "shard", "both"), repeat=2)]
TIMES = 20
"""How often a full run has each pair of steps, and whose deaths they are goes on from one time to the next."""
LAPS_MAX = 8
WITHIN_S = 300.0
"""For one pair, which takes 0.3 s where nobody else works."""
COST = 0.001


class LeaseRound(Round):
    """Laps on one machine, with the strikes that are armed there."""

    def __init__(self, machine: Machine, name: str, seed: int) -> None:
        super().__init__(cast("Cluster", machine), name, seed, Plan(strikes=0))
        self.machine = machine
        self.campaigns: list[Campaign] = []
        self._people = count_from()

    async def play_laps(self, strikes: tuple[Strike, ...]) -> None:
        """Raises `AssertionError` for any harm."""
        playing = asyncio.create_task(self._play_laps(list(strikes)))
        try:
            await asyncio.wait([playing], timeout=WITHIN_S)
            if not playing.done() or isinstance(playing.exception(), TimeoutError):
                # Said before anything is ended: what waits for ever may not let that happen either.
                sys.stderr.write(f"{self.name} does not end; refused: {self.told.refused}\n{who_waits(self.machine)}\n")
                raise AssertionError("it did not end; who waits for whom was written to the standard error")
            await playing
        finally:
            playing.cancel()
        assert not self.machine.harm, self.machine.harm

    async def _play_laps(self, armed: list[Strike]) -> None:
        self.machine.strikes = armed
        while armed or not self.campaigns:
            assert len(self.campaigns) < LAPS_MAX, f"never came to {armed}: {dict(self.machine.reached)}"
            await self.lap()
        self.machine.strikes = []
        await until_ready(self.outreach)
        for campaign in self.campaigns:
            await self.spend_the_last(campaign)
        await check_told(self.told, self.outreach, cast("Cluster", self.machine), self.campaigns)

    async def lap(self) -> None:
        campaign, dice = self.campaign(), self.dice
        await self.until_answered(lambda: self.outreach.put_campaign(campaign))
        one, other = dice.sample(range(SHARDS), 2)
        for size in (1, dice.randint(1, 3)):
            await self.ask(campaign, [one] * size)
        self.machine.kill(self.machine.shard_processes[one])
        for size in (1, 1):
            await self.ask(campaign, [one] * size)
        await self.ask(campaign, [other] * self.places)
        told = self.told.live(str(campaign.id))
        for row in dice.sample(told, dice.randint(1, 3)):
            await self.cancel(row["message_id"])
        await self.ask(campaign, [*range(SHARDS)] * 2)

    def campaign(self) -> Campaign:
        """For so many messages as there are `places`, by one limit or another."""
        self.places = self.dice.randint(16, 24)
        money = f"{self.places * COST:.3f}"
        limits: dict[str, dict[str, Any]] = self.dice.choice(
            [
                {"budget": {"total": money}},
                {"budget": {"per_channel": {"email": money}}},
                {"budget": {"daily": money}},
                {"limits": {"daily_messages": self.places}},
                {"budget": {"total": money}, "limits": {"per_minute": 5}},
            ]
        )
        fields = {"urgency": "high", "channels": {"allowed": ["email"]}, "costs": {"email": f"{COST}"}, **limits}
        campaign = decode_campaign(msgspec.json.encode(fields), f"{self.name}-{len(self.campaigns)}")
        self.campaigns.append(campaign)
        return campaign

    async def ask(self, campaign: Campaign, shards: list[int]) -> None:
        """Somebody new on each of these shards, in one request."""
        people = [self.somebody_on(shard) for shard in shards]
        name = f"{len(self.told.requests)}"
        await self.send(self.request(name, str(campaign.id), people, is_batch=len(people) > 1))

    def somebody_on(self, shard: int) -> int:
        of = self.outreach._router.shard_of_recipient
        return next(one for one in self._people if of(f"{self.name}-{one}") == shard)

    async def spend_the_last(self, campaign: Campaign) -> None:
        """Not a micro-unit more and none less than there is, wherever it was when somebody died."""
        limits = campaign.limits
        places = limits.daily_messages or round(self.money_of(campaign) / (COST * 10**6))
        await self.ask(campaign, [*range(SHARDS)] * 2)
        there = len(self.told.live(str(campaign.id)))
        assert there == places, f"{campaign.id}: {there} messages are there, and places for {places}"

    def money_of(self, campaign: Campaign) -> int:
        budget = campaign.budget
        assert budget is not None
        return next(money for money in (budget.total, budget.daily, *budget.per_channel.values()) if money is not None)


async def killed_leases(count: int, seed: int) -> Counter[str]:
    """So many pairs of steps, at most all. Of consecutive seeds each has other deaths at the same pair."""
    outcomes: Counter[str] = Counter()
    for number in random.Random(seed).sample(range(len(PAIRS)), count):
        strikes = tuple(map(Strike, PAIRS[number], DEATHS[(seed + number) % len(DEATHS)]))
        about = f"seed {seed}: {' then '.join(f'{who} at {step!r}' for step, who in strikes)}"
        dice = random.Random(f"{seed}-{number}")
        with quick_directory() as place:
            async with running_machine(place, dice) as machine:
                try:
                    await LeaseRound(machine, f"l-{seed}-{number}", seed).play_laps(strikes)
                except AssertionError as harm:
                    raise AssertionError(f"{about}: {harm}") from harm
        outcomes["pairs"] += 1
        outcomes["deaths"] += sum(2 if who == "both" else 1 for _, who in strikes)
    return outcomes
