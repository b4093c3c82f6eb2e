"""What users say: campaigns (contract, section 3) and recipients (section 2), as msgspec Structs.

A Campaign is valid by construction when it comes from `decode_campaign`. Money is micro-units, instants are
whole seconds since the epoch, times of day are minutes, all `int`; spans are half-open.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, TypeAlias, cast

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine._core import CHANNELS
from engine.config import Settings, channel_costs, default_settings
from engine.content import CampaignTemplates, Templates
from engine.errors import FieldError, RequestError
from engine.reading import convert, not_valid, read_json
from engine.scalars import (
    Amount,
    Currency,
    Identifier,
    Instant,
    MinuteOfDay,
    Text,
    ZoneName,
)
from kernels.zones import ZONE_INDEX, local_offset

__all__ = [
    "Budget",
    "Campaign",
    "CampaignAnswer",
    "CampaignChannels",
    "CampaignLimits",
    "Preferences",
    "Recipient",
    "Window",
    "answer_campaign",
    "decode_campaign",
]

CHANNEL_NAMES = cast("tuple[Channel, ...]", CHANNELS)

Channel: TypeAlias = Literal["email", "sms", "whatsapp", "instagram", "facebook", "linkedin", "twitter"]
Category: TypeAlias = Literal["marketing", "transactional"]
Urgency: TypeAlias = Literal["low", "normal", "high"]
CampaignState: TypeAlias = Literal["upcoming", "active", "paused", "ended"]

Cap = Annotated[int, Meta(ge=0, le=1000)]
Tier = Annotated[int, Meta(ge=0, le=1000)]
DailyMessages = Annotated[int, Meta(ge=0, le=10**12)]
PerMinute = Annotated[int, Meta(ge=1, le=10**9)]


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are errors."""


class Window(_Strict, frozen=True):
    """Local times of day [start, end), across midnight where `start` is later; equal ones hold nothing."""

    start: MinuteOfDay
    end: MinuteOfDay


class CampaignChannels(_Strict, frozen=True):
    """Where a campaign may go: channels, and tiers by channel, of which the lower goes first."""

    allowed: Annotated[tuple[Channel, ...], Meta(min_length=1)] = CHANNEL_NAMES
    priority: dict[Channel, Tier] = {}


class Budget(_Strict, frozen=True):
    """What may be committed: in all, on one local day of the campaign's, on one channel. Null is no bound."""

    currency: Currency = field(default_factory=partial(Currency, "USD"))
    total: Amount | None = None
    daily: Amount | None = None
    per_channel: dict[Channel, Amount] = {}


class CampaignLimits(_Strict, frozen=True):
    """How many messages: of the campaign on one of its local days, of one recipient in 24 and 168 hours."""

    daily_messages: DailyMessages | None = None
    per_minute: PerMinute | None = None
    daily_cap: Cap = 3
    weekly_cap: Cap = 10
    lookback_hours: Annotated[int, Meta(ge=0, le=8760)] = 24


class _CampaignFields(_Strict, frozen=True):
    id: Identifier
    name: Text = field(default_factory=Text)
    category: Category = "marketing"
    urgency: Urgency = "normal"
    timezone: ZoneName = field(default_factory=partial(ZoneName, "UTC"))
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    channels: CampaignChannels = CampaignChannels()
    budget: Budget | None = None
    costs: dict[Channel, Amount] = {}
    conversion_value: Amount = field(default_factory=Amount)
    limits: CampaignLimits = CampaignLimits()
    send_window: Window | None = None
    on_cap: Literal["block", "defer"] = "block"
    max_attempts: Annotated[int, Meta(ge=1, le=7)] = 3
    dedup_key: Identifier = field(default_factory=Identifier)
    templates: CampaignTemplates = CampaignTemplates()


class Campaign(_CampaignFields, frozen=True):
    """A purpose with a budget, limits and a period [starts_at, ends_at).

    Once decoded nothing is left to fill in: `name` and `dedup_key` default to the id, `costs` is complete.
    """

    @property
    def transactional(self) -> bool:
        """Whether caps, gaps, quiet hours and send-time choice leave its messages alone."""
        return self.category == "transactional"

    @property
    def currency(self) -> str:
        """The currency of its budget and costs."""
        return (self.budget or Budget()).currency

    def changes_fixed_by_messages(self, old: Campaign) -> list[str]:
        """What differs from `old` that may not change once the campaign has messages."""
        fixed = ("category", "timezone", "currency")
        return [name for name in fixed if getattr(self, name) != getattr(old, name)]

    def state(self, now: int, paused: bool) -> CampaignState:
        """Its state at `now`: over is ended, even if paused; paused is so even before it starts."""
        if self.ends_at is not None and now >= self.ends_at:
            return "ended"
        if paused:
            return "paused"
        return "upcoming" if self.starts_at is not None and now < self.starts_at else "active"

    def local_day(self, instant: int) -> int:
        """The date of an instant in the campaign's zone, as days since 1970-01-01."""
        offset = local_offset(ZONE_INDEX[self.timezone], np.array([instant], dtype=np.int64))
        return (instant + int(offset[0])) // 86_400


class CampaignAnswer(_CampaignFields, frozen=True, kw_only=True):
    """A campaign as it is answered: the whole, and its state."""

    state: CampaignState


class Preferences(_Strict, frozen=True):
    """What a recipient wishes: channels, most wanted first; channels never to use; hours of quiet."""

    channels: list[Channel] | UnsetType = UNSET
    opt_out: list[Literal[Channel, "all"]] | UnsetType = UNSET
    quiet_hours: Window | UnsetType = UNSET


class Recipient(_Strict, frozen=True):
    """A person that may be contacted. A field left out stays as it is kept; null is no value of any."""

    id: Identifier
    customer_type: Literal["new", "existing"] | UnsetType = UNSET
    timezone: ZoneName | UnsetType = UNSET
    device: Literal["mobile", "desktop", "tablet", "unknown"] | UnsetType = UNSET
    contacts: dict[Channel, str] | UnsetType = UNSET
    preferences: Preferences | UnsetType = UNSET


def decode_campaign(body: bytes, id_from_path: str, settings: Settings | None = None) -> Campaign:
    """The campaign of a request, whole and valid; costs left out are those of `settings` or the defaults.

    Raises `RequestError` (400) with the path of each fault.
    """
    value = read_json(body)
    if isinstance(value, dict) and value.setdefault("id", id_from_path) != id_from_path:
        raise not_valid("/id", "takes the id of the path, or may be left out")
    given = convert(value, Campaign)
    if errors := _contradictions(given):
        raise RequestError(400, "The campaign contradicts itself.", errors)
    Templates(given.templates).require_sound()
    costs = {name: Amount(cost) for name, cost in channel_costs(settings or default_settings()).items()}
    return msgspec.structs.replace(
        given,
        name=given.name or Text(given.id),
        channels=CampaignChannels(
            allowed=tuple(name for name in CHANNEL_NAMES if name in given.channels.allowed),
            priority=given.channels.priority,
        ),
        costs={name: given.costs.get(name, costs[name]) for name in CHANNEL_NAMES},
        dedup_key=given.dedup_key or given.id,
    )


def _contradictions(campaign: Campaign) -> list[FieldError]:
    errors = []
    if campaign.starts_at is not None and campaign.ends_at is not None and campaign.ends_at <= campaign.starts_at:
        errors.append(("/ends_at", "takes an instant after starts_at"))
    return errors


def answer_campaign(campaign: Campaign, state: CampaignState) -> CampaignAnswer:
    """The whole campaign, defaults filled in, and its state."""
    return CampaignAnswer(**msgspec.structs.asdict(campaign), state=state)
