"""Processes that are killed or stand still, and answers that are lost, while clients go on repeating with their keys.

A round is one set of campaigns with scarce money and places, its own people, some clients who send batches and single
requests, cancel and report deliveries, and faults that strike meanwhile, as `Plan` says. When all is answered,
`told.check_told` compares what the system says with what the clients were told.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from ray._private.state import actors

from actors.answers import NoAnswerInTime
from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.keyed import Key
from engine.errors import Conflict, Overloaded, ShardUnavailable
from engine.event import Event
from engine.model import Campaign, decode_campaign
from tests.faults.server import Server
from tests.faults.told import Client, Request, Told, check_told

CLIENTS = 6
PAUSE_S = 0.02
READY_WITHIN_S = 90.0
ROUND_WITHIN_S = 120.0
WAITS_MAX = 4
"""How many times its timeout a call may take that asks several who stand still, one after the other."""

COSTS = {"email": "0.001", "sms": "0.0017"}
BATCH_PATH, SEND_PATH = "/api/v1/outreach/send-batch", "/api/v1/outreach/send"

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How a round goes, besides its seed."""

    kinds: tuple[str, ...] = ("shard", "ledger", "shard and ledger", "all")
    """What is struck, in turn from a random first."""
    strikes: int = 4
    frozen_s: tuple[float, float] | None = None
    """Struck processes stand still so long and then go on; None kills them."""
    lost_share: float = 0.0
    """Of the answers to clients; each of these arrives too late."""
    people: int = 240
    requests: int = 8
    """Of each client."""


@dataclass
class Outcome:
    struck: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)


def campaigns_of(name: str, people: int) -> list[Campaign]:
    """Money or places for about half of what the people ask for, each by another limit."""
    half = people // 2
    fields: dict[str, dict[str, Any]] = {
        "total": {"budget": {"total": f"{half * 0.0013:.4f}"}},
        "channels": {"budget": {"per_channel": {"email": f"{half * 0.0005:.4f}", "sms": f"{half * 0.0009:.4f}"}}},
        "days": {"budget": {"daily": f"{half * 0.0013:.4f}"}, "limits": {"daily_messages": half - 7}},
        "minutes": {"budget": {"total": f"{half * 0.002:.4f}"}, "limits": {"per_minute": 5}},
    }
    return [
        decode_campaign(msgspec.json.encode({"urgency": "high", "costs": COSTS, **more}), f"{name}-{which}")
        for which, more in fields.items()
    ]


def process_of(actor: Any) -> int:
    """Of one of our own actors."""
    return int(actors(actor._actor_id.hex())["Pid"])


class Round:
    """See the module."""

    within_s = ROUND_WITHIN_S

    def __init__(self, cluster: Cluster | Server, name: str, seed: int, plan: Plan) -> None:
        self.cluster = cluster
        self.outreach = cluster.client()
        self.name = name
        self.plan = plan
        if plan.frozen_s is not None:
            self.within_s += plan.strikes * plan.frozen_s[1]
        self.dice = random.Random(f"{seed}-{name}")
        self.told = Told()
        self.outcome = Outcome()
        self.campaigns = campaigns_of(name, plan.people)
        self.answered = 0
        self.slowest_s = 0.0
        """Of all calls, refused or not."""
        if plan.lost_share:
            self.lose_answers(self.outreach)

    async def play(self) -> Outcome:
        for campaign in self.campaigns:
            await self.until_answered(lambda campaign=campaign: self.outreach.put_campaign(campaign))
        seeds = [self.dice.randrange(2**32) for _ in range(CLIENTS)]
        clients = [
            asyncio.create_task(self.be_client(client, random.Random(seeds[client]))) for client in range(CLIENTS)
        ]
        striking = asyncio.create_task(self.strike(clients))
        try:
            async with asyncio.timeout(self.within_s):
                await asyncio.gather(striking, *clients)
        except TimeoutError:
            open_ones = [request.key.text for request in self.told.requests if not request.answer]
            raise AssertionError(f"never answered: {open_ones}, {self.answered} were; {self.told.why}") from None
        finally:
            for task in (striking, *clients):
                task.cancel()
        if self.plan.frozen_s is not None:
            most_s = WAITS_MAX * self.cluster.settings.limits.shard_timeout_ms / 1000
            assert self.slowest_s < most_s, f"a caller waited {self.slowest_s:.1f} s, and frozen ones are told of"
        await until_ready(self.outreach)
        quiet = self.quiet_client()
        await self.ask_the_last(quiet)
        ledgers_cluster = self.cluster if isinstance(self.cluster, Cluster) else None
        await check_told(self.told, quiet, ledgers_cluster, self.campaigns)
        self.outcome.counted["requests"] += len(self.told.requests)
        self.outcome.counted["messages"] += len(self.told.scheduled())
        self.outcome.counted["rows unavailable"] += self.told.refused["rows"]
        self.outcome.counted["requests unavailable"] += self.told.refused["requests"]
        return self.outcome

    def quiet_client(self) -> Client:
        """For the check: no fault strikes it any more."""
        return self.cluster.client()

    # ---- faults -----------------------------------------------------------------------------------------

    async def strike(self, clients: list[asyncio.Task[None]]) -> None:
        """A strike after every so many answers: in the middle of what the other clients wait for."""
        kinds, first = self.plan.kinds, self.dice.randrange(len(self.plan.kinds))
        total = CLIENTS * self.plan.requests
        for strike in range(self.plan.strikes):
            until = total * strike // (self.plan.strikes + 1)
            while self.answered < until and not all(client.done() for client in clients):  # noqa: ASYNC110
                await asyncio.sleep(PAUSE_S / 4)
            await asyncio.sleep(self.dice.random() * 0.2)
            kind = kinds[(first + strike) % len(kinds)]
            await self.strike_once(kind)
            if strike % 2:  # of the others the next one strikes while this one is beginning again
                await until_ready(self.outreach)

    async def strike_once(self, kind: str) -> None:
        self.outcome.struck[kind] += 1
        if self.plan.frozen_s is None:
            for process in self.victims(kind):
                os.kill(process, signal.SIGKILL)
        else:
            await self.freeze(self.victims(kind), self.dice.uniform(*self.plan.frozen_s))

    def victims(self, kind: str) -> list[int]:
        shards = list(self.cluster.shards)
        one = self.dice.choice(shards)
        chosen = {
            "shard": [one],
            "ledger": [self.cluster.ledger],
            "two shards": self.dice.sample(shards, 2),
            "shard and ledger": [one, self.cluster.ledger],
            "all": [*shards, self.cluster.ledger],
        }[kind]
        return [process for actor in chosen if (process := process_of(actor)) > 0]

    async def freeze(self, processes: list[int], seconds: float) -> None:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def lose_answers(self, outreach: AsyncOutreach) -> None:
        """Some of the answers of shards and ledger never arrive here: what was asked happens all the same."""
        dice, share = random.Random(self.dice.random()), self.plan.lost_share

        def losing(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def lossy(*arguments: Any) -> Any:
                answer = await ask(*arguments)
                if dice.random() < share:
                    self.outcome.struck["lost answer"] += 1
                    raise NoAnswerInTime("The answer was lost.")
                return answer

            return lossy

        outreach._ask_shard = outreach.keyed._ask_shard = losing(outreach._ask_shard)  # type: ignore[method-assign]
        outreach._ask_ledger = losing(outreach._ask_ledger)  # type: ignore[method-assign]

    # ---- clients ----------------------------------------------------------------------------------------

    async def until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            began = time.monotonic()
            try:
                return await ask()
            except (ShardUnavailable, Overloaded) as refusal:
                self.told.refused["requests"] += 1
                self.told.why[refusal.detail] += 1
                await asyncio.sleep(PAUSE_S)
            finally:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    async def be_client(self, client: int, dice: random.Random) -> None:
        mine: list[Request] = []
        for number in range(self.plan.requests):
            campaign_id = str(dice.choice(self.campaigns).id)
            if dice.random() < 0.7:
                people = dice.sample(range(self.plan.people), dice.randint(1, self.plan.people // 4))
                request = self.request(f"{client}-{number}", campaign_id, people, is_batch=True)
            else:
                request = self.request(f"{client}-{number}", campaign_id, [dice.randrange(self.plan.people)], False)
            await self.send(request)
            mine.append(request)
            if dice.random() < 0.5:  # nobody remembers what it was told: it asks again
                await self.send(dice.choice(mine))
            await self.follow(dice, [row for row in request.rows if row["status"] == "scheduled"])

    async def follow(self, dice: random.Random, scheduled: list[dict[str, Any]]) -> None:
        for row in scheduled:
            message_id = row["message_id"]
            if dice.random() < 0.04:
                await self.cancel(message_id)
            elif dice.random() < 0.04:
                event = Event(id=f"{self.name}-{message_id}", type="delivered", message_id=message_id)
                (taken,) = await self.until_answered(lambda event=event: self.outreach.events([event]))
                assert taken["status"] in ("applied", "seen"), taken
                self.told.delivered.add(message_id)

    async def cancel(self, message_id: str) -> None:
        """One that was asked in vain may have happened: then it is refused, and is cancelled all the same."""
        refused = self.told.refused["requests"]
        try:
            await self.until_answered(lambda: self.outreach.cancel(message_id))
        except Conflict:
            assert self.told.refused["requests"] > refused, f"{message_id} was cancelled by nobody"
        self.told.cancelled.add(message_id)

    def request(self, name: str, campaign_id: str, people: list[int], is_batch: bool) -> Request:
        recipients = [{"id": f"{self.name}-{one}", "contacts": contacts_of(one)} for one in people]
        what = {"recipients": recipients} if is_batch else {"recipient": recipients[0]}
        body = msgspec.json.encode({"campaign_id": campaign_id, **what})
        key = Key(f"{self.name}-{name}", BATCH_PATH if is_batch else SEND_PATH)
        return Request(key, campaign_id, body, is_batch)

    async def send(self, request: Request, outreach: Client | None = None) -> None:
        keyed = (outreach or self.outreach).keyed
        ask = keyed.send_batch_body if request.is_batch else keyed.send_body
        if not request.answer:
            self.told.requests.append(request)
        while True:
            answer = await self.until_answered(lambda: ask(request.key, request.body))
            if self.told.hear(request, answer.body):
                self.answered += 1
                return
            await asyncio.sleep(PAUSE_S)

    async def ask_the_last(self, outreach: Client) -> None:
        """While somebody wants a message the last of the money is spent: no slice was lost with a process."""
        campaign = self.campaigns[0]
        last = range(self.plan.people, 2 * self.plan.people)
        await self.send(self.request("last", str(campaign.id), list(last), is_batch=True), outreach)
        assert campaign.budget is not None
        assert campaign.budget.total is not None
        status = await outreach.status(campaign.id)
        left = float(status["budget"]["remaining"])
        assert left < float(COSTS["email"]), f"{campaign.id}: {left} is left, and people were refused"


def contacts_of(person: int) -> dict[str, str]:
    """Every fifth has an address only."""
    phone = {} if person % 5 == 0 else {"sms": f"+1555{person:07}"}
    return {"email": f"p{person}@example.com", **phone}


async def until_ready(outreach: Client) -> None:
    """All actors answer. Raises `TimeoutError` if they do not in time."""
    async with asyncio.timeout(READY_WITHIN_S):
        while not all((await outreach.ready()).values()):  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)
