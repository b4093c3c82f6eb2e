"""A campaign as the decision needs it: plain numbers for the core, arrays for the kernels."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine._core import URGENCIES
from engine.config import Settings, channel_gaps
from engine.model import CHANNEL_NAMES, Campaign, Channel, Window
from kernels import NONE, ZONE_INDEX

__all__ = ["UNLISTED_TIER", "Rules", "rules_of"]

UNLISTED_TIER = 1_000_000
"""The tier of a channel that the campaign's priority does not list: after every listed one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What `_core.Shard.put_campaign` reads (the first fields), and what the kernels are called with.

    Instants are seconds since the epoch, amounts micro-units, masks have bit c for channel c.
    """

    id: str
    transactional: bool
    paused: bool
    starts_at: int | None
    ends_at: int | None
    channels: int
    costs: list[int]
    """An SMS costs this for each of its segments; see `Features.costs`."""
    daily_cap: int
    weekly_cap: int
    lookback_s: int
    gaps_s: list[int]
    max_attempts: int
    dedup_key: str
    defers: bool
    window: tuple[int, int]
    """Minutes of the recipient's day [start, end); equal ones hold nothing."""
    conversion_value: int
    zone: int
    limits_total: bool
    limits_channels: int
    limits_daily: bool
    limits_daily_messages: bool
    per_minute: int | None
    urgency: int
    """Code of the campaign's urgency; a request may bring its own."""

    campaign: Campaign
    """As the user put it, for explanations."""
    tiers: npt.NDArray[np.int64] = field(compare=False)

    @property
    def period(self) -> tuple[int, int]:
        """[starts_at, ends_at) as the kernels take it: `NONE` is open."""
        return (
            NONE if self.starts_at is None else self.starts_at,
            NONE if self.ends_at is None else self.ends_at,
        )


def rules_of(campaign: Campaign, paused: bool, settings: Settings) -> Rules:
    """Compiles a campaign."""
    priority = campaign.channels.priority
    budget = campaign.budget
    return Rules(
        id=campaign.id,
        transactional=campaign.transactional,
        paused=paused,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        channels=channel_mask(campaign.channels.allowed),
        costs=[int(campaign.costs[name]) for name in CHANNEL_NAMES],
        daily_cap=campaign.limits.daily_cap,
        weekly_cap=campaign.limits.weekly_cap,
        lookback_s=campaign.limits.lookback_hours * 3600,
        gaps_s=[int(gap_s) for gap_s in channel_gaps(settings)],
        max_attempts=campaign.max_attempts,
        dedup_key=campaign.dedup_key,
        defers=campaign.on_cap == "defer",
        window=_minutes(campaign.send_window),
        conversion_value=int(campaign.conversion_value),
        zone=ZONE_INDEX[campaign.timezone],
        limits_total=budget is not None and budget.total is not None,
        limits_channels=0 if budget is None else channel_mask(budget.per_channel),
        limits_daily=budget is not None and budget.daily is not None,
        limits_daily_messages=campaign.limits.daily_messages is not None,
        per_minute=campaign.limits.per_minute,
        urgency=URGENCIES.index(campaign.urgency),
        campaign=campaign,
        tiers=np.array([priority.get(name, UNLISTED_TIER) for name in CHANNEL_NAMES], dtype=np.int64),
    )


def channel_mask(names: Container[Channel]) -> int:
    """Bit c for each channel c among `names`."""
    return sum((1 << code for code, name in enumerate(CHANNEL_NAMES) if name in names), start=0)


def _minutes(window: Window | None) -> tuple[int, int]:
    return (0, 0) if window is None else (int(window.start), int(window.end))
