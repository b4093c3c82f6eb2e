"""Dispatch: what is due is claimed from its shard, leaves by its channel's adapter, and is reported on.

    shard ──claim──► lane (so many at once, so many a second) ──► adapter ── start ──► provider
      ▲                                                                                  │
      └───────────────────────────────── report ◄────────────────────────────────────────┘

The rules (design, section 7):
- A claim and a start are durable when the shard answers. The adapter awaits the start just before the step that cannot
  be taken back. A dispatcher that dies leaves as `unknown` what it had started and not reported, and nothing else.
- What one life of the dispatcher claimed is nobody's in the next one, which begins with saying so.
- A report is repeated until its shard has answered: it counts once.
- Whatever goes wrong before the start is tried again later, for hours, and then counts as rejected.
- What may have been taken is not reported where the provider takes an attempt once: it is made again when its claim
  ends.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from actors.adapters.adapter import Accepted, Adapter, Delivery, Later, Outcome, Rejected, Unknown
from actors.gather import Gatherer
from actors.lane import Lane
from actors.speech import Speech
from actors.standing import Claims
from engine.content import ContentError
from engine.delivery import Claimed, Report
from engine.errors import MadanSaraError, Overloaded, ShardUnavailable
from engine.settings import Settings

__all__ = ["Dispatch", "Shards"]

LOOK_PAUSE_S = 0.25
"""Between two looks at what is due, while there is room."""

REPORT_PAUSE_S = 0.02
"""Between two calls that report to a shard: each costs more than the reports in it. A message is claimed for so much
longer, so a lane makes no more than 200 attempts a second for each that it may make at once."""

GRACE = 1.25
"""Of its time limit after which an attempt is given up whose adapter did not do so itself, and says where it stood."""

RETRY_PAUSE_MAX_S = 5.0
TRIES_MAX = 12
FIRST_WAIT_S = 30
WAIT_MAX_S = 3600
"""Between two tries, where the provider names no time: twice as long each time. Twelve take six hours."""

AGAIN = (ShardUnavailable, Overloaded)
"""What to ask again after."""

logger = logging.getLogger("madan_sara.dispatcher")

A = TypeVar("A")


class Shards(Protocol):
    """The shards as the dispatcher asks them. Every call may raise `ShardUnavailable`."""

    async def now(self) -> int: ...

    async def abandon_claims(self, shard: int, now: int, deduplicates: frozenset[str]) -> None: ...

    async def claim(
        self, shard: int, room: Mapping[str, int], now: int, until: int, deduplicates: frozenset[str]
    ) -> Claims: ...

    async def start(self, shard: int, claims: list[tuple[str, int]], now: int) -> list[bool]: ...

    async def report(self, shard: int, reports: list[Report], now: int) -> list[bool]: ...


class Dispatch:
    """Delivers for all shards of a cluster, on one event loop."""

    def __init__(self, settings: Settings, shards: Shards, adapters: Mapping[str, Adapter], speech: Speech) -> None:
        """`adapters` by channel. `speech` says what a message says."""
        self._shards = shards
        self._speech = speech
        self._adapters = {id(adapter): adapter for adapter in adapters.values()}
        self._lanes = {name: Lane(adapter, getattr(settings.delivery, name)) for name, adapter in adapters.items()}
        self._deduplicates = frozenset(name for name, adapter in adapters.items() if adapter.deduplicates)
        self._claim_timeout_s = -(-settings.delivery.claim_timeout_ms // 1000)
        self._attempt_timeout_s = settings.delivery.attempt_timeout_ms / 1000
        self._patience_s = self._claim_timeout_s - self._attempt_timeout_s
        """From a claim to the begin of its attempt: one that begins later could outlast its claim."""
        count = settings.shards
        self._starts = [Gatherer[tuple[str, int], bool](self._starter(shard)) for shard in range(count)]
        self._reports = [Gatherer[Report, bool](self._reporter(shard), REPORT_PAUSE_S) for shard in range(count)]
        self._wakes = [asyncio.Event() for _ in range(count)]
        self._deliveries: dict[asyncio.Task[None], Claimed] = {}
        """Those under way."""
        self._looks: list[asyncio.Task[None]] = []
        self._is_ending = False
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Attempts by channel and outcome."""
        self._oldest: list[dict[str, int]] = [{} for _ in range(count)]
        self.looked_at = [0] * count
        """For each shard the instant of the last look at what is due."""

    def begin(self) -> None:
        """Starts to deliver."""
        self._looks = [asyncio.create_task(self._serve(shard)) for shard in range(len(self._wakes))]

    async def end(self, patience_s: float) -> None:
        """Claims no more, waits so long for what is under way, and lets go of the adapters."""
        self._is_ending = True
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=patience_s)
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        for adapter in self._adapters.values():
            await adapter.close()

    async def settled(self, recipient_id: str, channels: Collection[str]) -> None:
        """Waits until nothing to a person is under way on these channels that was when this began."""
        under_way = [
            task
            for task, claimed in self._deliveries.items()
            if claimed.recipient_id == recipient_id and claimed.channel in channels
        ]
        if under_way:
            await asyncio.wait(under_way)

    async def queue_age_s(self) -> dict[str, int]:
        """For each channel, how long the message waits that has been due longest, as of the last look."""
        now = await self._shards.now()
        oldest = {name: [due[name] for due in self._oldest if name in due] for name in self._lanes}
        return {name: max(0, now - min(instants)) if instants else 0 for name, instants in oldest.items()}

    def channels_by(self, kind: type[Adapter]) -> set[str]:
        """Those that leave by an adapter of a kind."""
        return {name for name, lane in self._lanes.items() if isinstance(lane.adapter, kind)}

    def settled_until(self) -> int | None:
        """Everything that was due by this instant has left; None while something is on its way or waits."""
        return None if self._deliveries or any(self._oldest) else min(self.looked_at)

    def look(self) -> None:
        """Looks at once at what is due: time has moved."""
        for wake in self._wakes:
            wake.set()

    def under_way(self) -> dict[str, int]:
        """How many messages of each channel are claimed."""
        return {name: lane.capacity - lane.free for name, lane in self._lanes.items()}

    # ---- claiming ---------------------------------------------------------------------------------------

    async def _serve(self, shard: int) -> None:
        wake, is_begun = self._wakes[shard], False
        while True:
            wake.clear()
            is_begun = is_begun or await self._abandon(shard)
            has_all = is_begun and await self._look(shard)
            if has_all and any(lane.is_half_free for lane in self._lanes.values() if shard in lane.more_at):
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), LOOK_PAUSE_S)

    async def _abandon(self, shard: int) -> bool:
        """Gives up what another life claimed; whether the shard answered."""
        try:
            await self._shards.abandon_claims(shard, await self._shards.now(), self._deduplicates)
        except Exception as error:  # as below
            logger.warning("shard %d was not told of a new dispatcher: %s", shard, _told(error))
            return False
        return True

    async def _look(self, shard: int) -> bool:
        """Claims what is due and has room, and hears how old the rest is; whether the shard answered."""
        room = {name: self._share(lane) for name, lane in self._lanes.items() if lane.free > 0}
        for name, count in room.items():
            self._lanes[name].take(count)
        claimed: list[Claimed] = []
        try:
            now = await self._shards.now()
            claims = await self._shards.claim(shard, room, now, now + self._claim_timeout_s, self._deduplicates)
            claimed, self._oldest[shard], self.looked_at[shard] = claims.claimed, claims.oldest, now
        except Exception as error:  # whatever it is, it must not be the last look
            logger.warning("shard %d was not asked what is due: %s", shard, _told(error))
            return False
        finally:
            taken = Counter(claim.channel for claim in claimed)
            for name, count in room.items():
                self._lanes[name].take(taken[name] - count)
        for name, count in room.items():
            if taken[name] == count:
                self._lanes[name].more_at.add(shard)
            else:
                self._lanes[name].more_at.discard(shard)
        for claim in claimed:
            task = asyncio.create_task(self._deliver(shard, claim, claims.versions[claim.campaign_id]))
            self._deliveries[task] = claim
            task.add_done_callback(self._deliveries.pop)
        return True

    def _share(self, lane: Lane) -> int:
        """Of what is free, so that a shard that does not answer keeps none of the others waiting."""
        return lane.free if len(self._wakes) == 1 else -(-lane.free // 2)

    # ---- delivering -------------------------------------------------------------------------------------

    async def _deliver(self, shard: int, claimed: Claimed, version: int) -> None:
        lane, clock = self._lanes[claimed.channel], asyncio.get_running_loop().time
        ends_at = clock() + self._patience_s
        try:
            async with lane.turn():
                if self._is_ending or clock() >= ends_at:
                    return
                outcome = await self._attempt(shard, lane.adapter, claimed, version)
            if outcome is not None:
                outcome = _given_up(outcome, claimed)
                self.outcomes[claimed.channel, type(outcome).__name__.lower()] += 1
                is_made_again = lane.adapter.deduplicates and claimed.tries + 1 < TRIES_MAX
                if not (isinstance(outcome, Unknown) and is_made_again):
                    report = await self._report(claimed, outcome)
                    await _answered(lambda: self._reports[shard].ask(report))
        except Exception as error:
            logger.error("what became of message %s is not known: %s", claimed.message_id, _told(error))
        finally:
            lane.take(-1)
            if lane.more_at and lane.is_half_free:
                self.look()

    async def _attempt(self, shard: int, adapter: Adapter, claimed: Claimed, version: int) -> Outcome | None:
        """What became of it; None where it must not be made."""
        is_started = False

        async def start() -> bool:
            nonlocal is_started
            is_started = await _answered(lambda: self._starts[shard].ask(claimed.key))
            return is_started

        try:
            async with asyncio.timeout(GRACE * self._attempt_timeout_s):
                delivery = await _answered(lambda: self._delivery(claimed, version))
                return await adapter.send(delivery, start)
        except ContentError as error:
            return Rejected(str(error))
        except Exception as error:  # whatever it is, the message must not hang
            fault = "no answer in time" if isinstance(error, TimeoutError) else f"a fault: {type(error).__name__}"
            logger.error("an attempt of message %s failed: %s", claimed.message_id, _told(error))
            return Unknown(fault) if is_started else Later(fault)

    async def _report(self, claimed: Claimed, outcome: Outcome) -> Report:
        match outcome:
            case Accepted(provider_id):
                return claimed.report("accepted", provider_id=provider_id)
            case Rejected(detail):
                return claimed.report("rejected", detail=detail)
            case Unknown(detail):
                return claimed.report("unknown", detail=detail)
            case Later(detail, after_s):
                wait_s = min(FIRST_WAIT_S << min(claimed.tries, 10), WAIT_MAX_S) if after_s is None else after_s
                now = await _answered(self._shards.now)
                return claimed.report("later", later=now + max(1, round(wait_s)), detail=detail)

    async def _delivery(self, claimed: Claimed, version: int) -> Delivery:
        content, unsubscribe_url = await self._speech.of(claimed, version)
        return Delivery(
            message_id=claimed.message_id,
            attempt=claimed.attempt,
            channel=claimed.channel,
            recipient_id=claimed.recipient_id,
            campaign_id=claimed.campaign_id,
            address=claimed.address,
            content=content,
            data=claimed.content,
            scheduled_at=claimed.scheduled_at,
            unsubscribe_url=unsubscribe_url,
        )

    def _starter(self, shard: int) -> Callable[[list[tuple[str, int]]], Awaitable[list[bool]]]:
        async def start(claims: list[tuple[str, int]]) -> list[bool]:
            return await self._shards.start(shard, claims, await self._shards.now())

        return start

    def _reporter(self, shard: int) -> Callable[[list[Report]], Awaitable[Sequence[Any]]]:
        async def report(reports: list[Report]) -> Sequence[bool | Exception]:
            now = await self._shards.now()
            try:
                return await self._shards.report(shard, reports, now)
            except MadanSaraError:
                raise
            except Exception as error:  # one of them; the others must not be lost with it
                if len(reports) == 1:
                    raise
                logger.error("shard %d did not take some report: %s", shard, _told(error))
                return [await one_alone(one, now) for one in reports]

        async def one_alone(one: Report, now: int) -> bool | Exception:
            try:
                (counted,) = await self._shards.report(shard, [one], now)
            except Exception as error:
                return error
            return counted

        return report


def _given_up(outcome: Outcome, claimed: Claimed) -> Outcome:
    """What was put off often enough was not taken, unless it may have been taken before."""
    if isinstance(outcome, Later) and claimed.tries + 1 >= TRIES_MAX:
        detail = f"{outcome.detail}; given up after {claimed.tries + 1} tries"
        return Unknown(detail) if claimed.repeats else Rejected(detail)
    return outcome


def _told(error: Exception) -> str:
    """What may be logged of it: its text may quote an address, but not that of our own errors."""
    if isinstance(error, MadanSaraError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


async def _answered(call: Callable[[], Awaitable[A]]) -> A:
    """Asks until there is an answer: shards come back."""
    with suppress(*AGAIN):  # nearly always there is one at once, for a tenth of what it takes to be ready for none
        return await call()
    async for attempt in AsyncRetrying(
        wait=wait_exponential(0.1, max=RETRY_PAUSE_MAX_S),
        retry=retry_if_exception_type(AGAIN),
    ):
        with attempt:
            return await call()
    raise AssertionError("it is asked again for ever")
