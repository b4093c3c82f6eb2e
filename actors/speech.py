"""Speech: what a claimed message says, by its campaign's templates, and where one click unsubscribes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from actors.standing import Standing
from engine.content import Content, Templates
from engine.delivery import Claimed
from engine.unsubscribe import Unsubscribes

__all__ = ["Speech"]

CAMPAIGNS_MAX = 1_000
"""Whose templates are kept compiled."""


class Speech:
    """Keeps the templates of the campaigns that spoke last."""

    def __init__(self, standing_of: Callable[[str], Awaitable[Standing]], unsubscribes: Unsubscribes) -> None:
        self._standing_of = standing_of
        self._unsubscribes = unsubscribes
        self._kept: OrderedDict[str, tuple[Standing, Templates]] = OrderedDict()

    async def of(self, claimed: Claimed, version: int) -> tuple[Content, str | None]:
        """By at least this version of its campaign. Raises `ContentError` for what cannot be said, `ShardUnavailable`
        where the ledger does not answer."""
        standing, templates = await self._templates(claimed.campaign_id, version)
        url = self._unsubscribes.url_of(claimed.message_id, claimed.channel)
        campaign = standing.campaign
        return templates.render(claimed.channel, claimed.content, campaign.id, campaign.name, url), url

    async def _templates(self, campaign_id: str, version: int) -> tuple[Standing, Templates]:
        kept = self._kept.get(campaign_id)
        if kept is None or kept[0].version < version:
            standing = await self._standing_of(campaign_id)
            kept = standing, Templates(standing.campaign.templates)
            self._kept[campaign_id] = kept
            if len(self._kept) > CAMPAIGNS_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(campaign_id)
        return kept
