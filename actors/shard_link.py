"""A shard as the ledger sees it."""

from __future__ import annotations

from typing import Any, Protocol

import ray

from actors.answers import answer_of
from actors.standing import Publication, Report, Standing
from actors.timeouts import Timeouts
from engine.errors import ShardUnavailable
from engine.learning import Learned

__all__ = ["NAMESPACE", "ActorLink", "ShardLink", "shard_name"]

NAMESPACE = "madan-sara"
"""Of every actor's name."""


def shard_name(index: int) -> str:
    """The name of a shard's actor."""
    return f"shard-{index}"


class ShardLink(Protocol):
    """Every call may raise `ActorUnreachable`, `ActorGone`, or `ShardUnavailable` if the shard cannot do it now."""

    async def release(self, campaign_id: str, sequence: int, reopens: bool) -> Report:
        """Recalls all slices of a campaign, that of the grant `sequence` included; with `reopens` the word about full
        minutes, too."""

    async def put_campaign(self, standing: Standing) -> Report:
        """Changes the rules between two decisions, and recalls all slices. The same version twice does no harm."""

    async def freeze(self, campaign_id: str) -> Report:
        """Recalls all slices, and has nothing decided for the campaign until `thaw` or the next `put_campaign`."""

    async def thaw(self, campaign_id: str) -> None:
        """Ends a `freeze`."""

    async def learned(self, now: int) -> Learned:
        """What the shard has learned."""

    async def publish(self, publication: Publication) -> None:
        """From now on the shard decides by this, unless it knows a later one."""


class ActorLink:
    """A `ShardLink` to the named actor."""

    def __init__(self, index: int, timeouts: Timeouts) -> None:
        self._name = shard_name(index)
        self._timeouts = timeouts
        self._actor: Any = None

    async def release(self, campaign_id: str, sequence: int, reopens: bool) -> Report:
        """Outlasts the recall, so that a late report still counts."""
        report: Report = await self._call("release", 3 * self._timeouts.answer, campaign_id, sequence, reopens)
        return report

    async def put_campaign(self, standing: Standing) -> Report:
        report: Report = await self._call("put_campaign", self._timeouts.answer, standing)
        return report

    async def freeze(self, campaign_id: str) -> Report:
        report: Report = await self._call("freeze", self._timeouts.answer, campaign_id)
        return report

    async def thaw(self, campaign_id: str) -> None:
        await self._call("thaw", self._timeouts.answer, campaign_id)

    async def learned(self, now: int) -> Learned:
        learned: Learned = await self._call("learned", self._timeouts.answer, now)
        return learned

    async def publish(self, publication: Publication) -> None:
        await self._call("publish", self._timeouts.answer, publication)

    async def _call(self, method: str, timeout_s: float, *arguments: object) -> Any:
        if self._actor is None:
            try:
                self._actor = ray.get_actor(self._name, NAMESPACE)
            except ValueError:
                raise ShardUnavailable(f"The {self._name} was not started yet.") from None
        return await answer_of(getattr(self._actor, method).remote(*arguments), self._name, timeout_s)
