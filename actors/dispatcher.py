"""The dispatcher: an actor of Ray beside the shards that delivers for all of them.

Ray restarts it when its process ends, by whatever. It keeps nothing: a life begins with giving up what the last one had
claimed, and asks the shards what is due.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ray

from actors.adapters.choice import adapters_by_channel
from actors.adapters.outbox import Outbox
from actors.answers import answer_of
from actors.dispatch import Dispatch
from actors.gather import Gatherer
from actors.ledger import LEDGER_NAME
from actors.shard_link import NAMESPACE, shard_name
from actors.speech import Speech
from actors.standing import Claims, Standing
from actors.state_directory import outbox_path
from actors.timeouts import Timeouts
from engine.delivery import Report
from engine.errors import ShardUnavailable
from engine.settings import Settings
from engine.unsubscribe import Unsubscribes

__all__ = ["DISPATCHER_NAME", "DeliveryFigures", "Dispatcher"]

DISPATCHER_NAME = "dispatcher"
BEGIN_PAUSE_S = 0.5
END_PATIENCE_S = 1.5

logger = logging.getLogger("madan_sara.dispatcher")


class DeliveryFigures(NamedTuple):
    """For the metrics; the counts are those of this life of the dispatcher."""

    outcomes: dict[tuple[str, str], int]
    """Attempts by channel and outcome."""
    under_way: dict[str, int]
    """Messages claimed, by channel."""
    queue_age_s: dict[str, int]
    """For each channel, how long the message waits that has been due longest."""
    settled_until: int | None
    """Everything that was due by this instant has left; None while something is on its way or waits."""


class Dispatcher:
    """`Dispatch` by its methods, once the ledger answers. `state_dir` of the settings must name a directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._outbox = Outbox(outbox_path(Path(settings.state_dir)))
        """To forget in, whether it is in use or not."""
        self._beginning = asyncio.create_task(self._begin())

    async def ping(self) -> bool:
        """Answers once it delivers."""
        await asyncio.shield(self._beginning)
        return True

    async def figures(self) -> DeliveryFigures:
        """How delivery goes."""
        dispatch = await asyncio.shield(self._beginning)
        age_s = await dispatch.queue_age_s()
        return DeliveryFigures(dict(dispatch.outcomes), dispatch.under_way(), age_s, dispatch.settled_until())

    async def look(self) -> None:
        """See `Dispatch`."""
        (await asyncio.shield(self._beginning)).look()

    async def forget(self, recipient_id: str) -> bool:
        """Leaves nothing in the outbox that names a person; whether there was anything."""
        dispatch = await asyncio.shield(self._beginning)
        await dispatch.settled(recipient_id, dispatch.channels_by(Outbox))
        return await self._outbox.forget(recipient_id)

    async def end(self) -> None:
        """Claims no more, and lets go of what it has: the process is about to end."""
        if self._beginning.done():
            await self._beginning.result().end(END_PATIENCE_S)
        self._beginning.cancel()
        await self._outbox.close()

    async def _begin(self) -> Dispatch:
        shards = RayShards(self._settings)
        while True:
            try:
                adapters = adapters_by_channel(self._settings, self._outbox)
                secret = await shards.secret()
                break
            except Exception as error:  # whatever it is, there is no other dispatcher
                logger.warning("the dispatcher waits for the ledger: %s", error)
                await asyncio.sleep(BEGIN_PAUSE_S)
        speech = Speech(shards.standing, Unsubscribes(secret, self._settings.delivery.public_url))
        dispatch = Dispatch(self._settings, shards, adapters, speech)
        dispatch.begin()
        return dispatch


class RayShards:
    """See `actors.dispatch.Shards`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_s = Timeouts.of(settings).answer
        self._actors: dict[str, Any] = {}
        self._clock = Gatherer(self._read_clock)

    async def now(self) -> int:
        """The system clock here, or the cluster's manual clock."""
        if self._settings.clock == "system":
            return int(time.time())
        return await self._clock.ask(None)

    async def _read_clock(self, asked: list[None]) -> list[int]:
        """The manual clock, for all who asked before this began."""
        now: int = await self._ask_ledger("now")
        return [now] * len(asked)

    async def secret(self) -> bytes:
        """The cluster's."""
        secret: bytes = await self._ask_ledger("secret")
        return secret

    async def standing(self, campaign_id: str) -> Standing:
        """A campaign as it stands."""
        standing: Standing = await self._ask_ledger("get_campaign", campaign_id)
        return standing

    async def abandon_claims(self, shard: int, now: int, deduplicates: frozenset[str]) -> None:
        """See `actors.shard.Shard`, as are the next three."""
        await self._ask(shard_name(shard), "abandon_claims", now, deduplicates)

    async def claim(
        self, shard: int, room: Mapping[str, int], now: int, until: int, deduplicates: frozenset[str]
    ) -> Claims:
        claims: Claims = await self._ask(shard_name(shard), "claim", dict(room), now, until, deduplicates)
        return claims

    async def start(self, shard: int, claims: list[tuple[str, int]], now: int) -> list[bool]:
        started: list[bool] = await self._ask(shard_name(shard), "start", claims, now)
        return started

    async def report(self, shard: int, reports: list[Report], now: int) -> list[bool]:
        counted: list[bool] = await self._ask(shard_name(shard), "report", reports, now)
        return counted

    async def _ask_ledger(self, method: str, *arguments: object) -> Any:
        return await self._ask(LEDGER_NAME, method, *arguments)

    async def _ask(self, name: str, method: str, *arguments: object) -> Any:
        if name not in self._actors:
            try:
                self._actors[name] = ray.get_actor(name, NAMESPACE)
            except ValueError:
                raise ShardUnavailable(f"The {name} does not exist yet.") from None
        return await answer_of(getattr(self._actors[name], method).remote(*arguments), name, self._timeout_s)
