"""Whether the content of requests suits their campaigns' templates, on one shard, before anything is decided."""

from __future__ import annotations

from engine._core import part_content
from engine.content import Templates
from engine.model import Campaign
from engine.settings import Settings
from engine.unsubscribe import Unsubscribes

__all__ = ["ContentCheck"]

SOME_MESSAGE = "m-0000000000000000"
"""Stands for those to come: all ids are as long."""


class ContentCheck:
    """Compiles a campaign's templates when the first request comes: most campaigns of a shard that starts are over."""

    def __init__(self, settings: Settings) -> None:
        self._unsubscribe_url = Unsubscribes(b"", settings.delivery.public_url).url_of(SOME_MESSAGE, "instagram")
        self._campaigns: dict[str, Campaign] = {}
        """Those with templates."""
        self._templates: dict[str, Templates] = {}

    def put(self, campaign: Campaign) -> None:
        """From now on a campaign's templates are these."""
        self._templates.pop(campaign.id, None)
        self._campaigns.pop(campaign.id, None)
        if campaign.templates:
            self._campaigns[campaign.id] = campaign

    def check(self, part: bytes) -> int:
        """Looks at a part (`_core.Request.part`): how many segments an SMS to its recipients has, as far as a template
        says so, else 1. Raises `RequestError` (400) with paths in the request."""
        if not self._campaigns:
            return 1
        campaign_id, content = part_content(part)
        campaign = self._campaigns.get(campaign_id)
        if campaign is None:
            return 1
        templates = self._templates.get(campaign_id)
        if templates is None:
            templates = self._templates[campaign_id] = Templates(campaign.templates)
        return templates.check(content, campaign.id, campaign.name, self._unsubscribe_url)
