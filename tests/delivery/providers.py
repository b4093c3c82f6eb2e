"""A provider whose every answer a test decides, and shards in process that can be made silent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors.adapters.adapter import Accepted, Delivery, Outcome, Start
from actors.dispatch import Dispatch
from actors.speech import Speech
from actors.standing import Claims, Standing
from engine import Engine
from engine.config import load_settings
from engine.delivery import Report
from engine.errors import ShardUnavailable
from engine.settings import Settings
from engine.unsubscribe import Unsubscribes

NOW = 1_772_442_000  # 2026-03-02T09:00:00Z, a Monday
PATIENCE_S = 20.0


def settings_of(**variables: str) -> Settings:
    """The defaults with these variables (without `MADAN_SARA_`)."""
    return load_settings(environment={f"MADAN_SARA_{name.upper()}": value for name, value in variables.items()})


class Provider:
    """Accepts everything, unless a test says otherwise."""

    def __init__(self, deduplicates: bool = False) -> None:
        self.deduplicates = deduplicates
        self.answers: Callable[[Delivery], Outcome | Exception] = lambda delivery: Accepted(f"p-{delivery.key}")
        self.before_start: Callable[[Delivery], Exception | None] = lambda delivery: None
        self.gate = asyncio.Event()
        """Closed, every attempt waits after its start."""
        self.gate.set()
        self.taken: list[Delivery] = []
        self.started = 0
        self.at_once = 0
        self.most_at_once = 0
        self.closed = False

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if (fault := self.before_start(delivery)) is not None:
                raise fault
            if not await start():
                return None
            self.started += 1
            await self.gate.wait()
            self.taken.append(delivery)
            answer = self.answers(delivery)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        self.closed = True

    @property
    def counts(self) -> Counter[str]:
        """How often it took each message."""
        return Counter(delivery.message_id for delivery in self.taken)


class InProcess:
    """The shards of an `Engine`; see `actors.dispatch.Shards`."""

    def __init__(self, shards: int = 2, settings: Settings | None = None) -> None:
        self.engine = Engine(settings, shards)
        self.settings = msgspec.structs.replace(self.engine.settings, shards=shards)
        self.time = NOW
        self.silent: Counter[tuple[int, str]] = Counter()
        """How many calls of a method of a shard are not answered: some of them have worked all the same."""
        self.faults: Counter[tuple[int, str]] = Counter()
        """How many calls raise what no shard should."""
        self.hangs: set[int] = set()
        self.versions: Counter[str] = Counter()

    def put_campaign(self, campaign_id: str, **fields: Any) -> None:
        self.versions[campaign_id] += 1
        self.engine.put_campaign({"id": campaign_id, **fields})

    async def now(self) -> int:
        return self.time

    async def standing(self, campaign_id: str) -> Standing:
        campaign, paused = self.engine._campaign(campaign_id)
        return Standing(campaign, paused, self.versions[campaign_id])

    async def abandon_claims(self, shard: int, now: int, deduplicates: frozenset[str]) -> None:
        async with self._asked(shard, "abandon_claims"):
            self.engine.shards[shard].abandon_claims(now, deduplicates)

    async def claim(
        self, shard: int, room: Mapping[str, int], now: int, until: int, deduplicates: frozenset[str]
    ) -> Claims:
        async with self._asked(shard, "claim"):
            core = self.engine.shards[shard]
            claimed = core.claim(dict(room), now, until, deduplicates)
            versions = {claim.campaign_id: self.versions[claim.campaign_id] for claim in claimed}
            oldest = {channel: at for channel, at in core.oldest_due(now).items() if at is not None}
            return Claims(claimed, versions, oldest)

    async def start(self, shard: int, claims: list[tuple[str, int]], now: int) -> list[bool]:
        async with self._asked(shard, "start"):
            return self.engine.shards[shard].start(claims, now)

    async def report(self, shard: int, reports: list[Report], now: int) -> list[bool]:
        async with self._asked(shard, "report"):
            return self.engine.shards[shard].report(reports, now)

    @asynccontextmanager
    async def _asked(self, shard: int, method: str) -> Any:
        while shard in self.hangs:  # noqa: ASYNC110 - a test says when
            await asyncio.sleep(0.001)
        if self.faults[shard, method]:
            self.faults[shard, method] -= 1
            raise ValueError("p1@example.com")
        left = self.silent[shard, method]
        self.silent[shard, method] = max(0, left - 1)
        if left % 2:
            raise ShardUnavailable(f"shard {shard} does not answer")
        yield
        if left:
            raise ShardUnavailable(f"the answer of shard {shard} is lost")

    # ---- what tests ask -----------------------------------------------------------------------------------

    def send(self, count: int, campaign_id: str = "c", **request: Any) -> list[str]:
        """To so many new people, who have every address; the ids of the messages."""
        people = [
            {
                "id": f"{campaign_id}-{number}",
                "contacts": {"email": f"p{number}@example.com", "sms": f"+1555{number:07d}"},
                "preferences": {"quiet_hours": {"start": "00:00", "end": "00:00"}},
            }
            for number in range(count)
        ]
        answer = self.engine.send_batch({"campaign_id": campaign_id, "recipients": people, **request}, self.time)
        assert answer["counts"]["scheduled"] == count, answer["reasons"]
        return [decision["message_id"] for decision in answer["results"]]

    def state(self, message_id: str) -> str:
        message = self.engine.message(message_id)
        assert message is not None
        return str(message["state"])

    def states(self, message_ids: list[str]) -> Counter[str]:
        return Counter(self.state(message_id) for message_id in message_ids)


@asynccontextmanager
async def dispatching(shards: InProcess, **adapters: Provider) -> Any:
    """A dispatcher at work, with an adapter for each channel that is named."""
    speech = Speech(shards.standing, Unsubscribes(b"s" * 16, shards.settings.delivery.public_url))
    dispatch = Dispatch(shards.settings, shards, adapters, speech)
    dispatch.begin()
    try:
        yield dispatch
    finally:
        for provider in adapters.values():
            provider.gate.set()
        await dispatch.end(patience_s=1)


async def kill(dispatch: Dispatch) -> None:
    """As the end of its process does: nothing more is asked, sent or reported."""
    for task in (tasks := [*dispatch._looks, *dispatch._deliveries]):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until(is_so: Callable[[], bool], what: str = "it") -> None:
    """Waits until something is so. Raises `TimeoutError` if it takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.002)
