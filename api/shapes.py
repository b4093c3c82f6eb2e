"""The shapes of requests and answers that Rust and the shards read and write: schemas for OpenAPI only."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from api.problems import FieldProblem
from engine.event import Event, SuppressionScope
from engine.model import Campaign, CampaignAnswer, CampaignState, Channel, Recipient, Urgency
from engine.pacing import Recommendation
from engine.scalars import Amount, Identifier, Instant, Text

__all__ = [
    "BatchAnswer",
    "BatchBody",
    "CampaignBody",
    "CampaignList",
    "Clock",
    "Decision",
    "EventsAnswer",
    "EventsBody",
    "Health",
    "Message",
    "RecipientBody",
    "RecipientView",
    "SendBody",
    "SendGridEvent",
    "Status",
    "SuppressionList",
    "TakenEvents",
    "TwilioStatus",
]

Reason: TypeAlias = Literal[
    "campaign_inactive",
    "suppressed",
    "duplicate",
    "no_viable_channel",
    "no_send_window",
    "daily_cap",
    "weekly_cap",
    "channel_gap",
    "over_budget",
    "daily_limit",
]
MessageState: TypeAlias = Literal[
    "scheduled", "claimed", "sent", "delivered", "failed", "unknown", "cancelled", "expired"
]
LocalTime = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
DedupKey = Annotated[
    str, Meta(min_length=1, max_length=256, extra_json_schema={"pattern": Identifier.schema["pattern"]})
]
Content = Annotated[
    dict[str, Any],
    Meta(
        description="Up to 65,536 bytes of JSON, kept with the message: the values of its campaign's templates. On a "
        "channel without one, what is said: subject, text and html."
    ),
]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class CampaignBody(Campaign, frozen=True, kw_only=True):
    """A campaign to put; the id is that of the path."""

    id: Identifier | UnsetType = UNSET  # type: ignore[assignment]


class CampaignList(Struct):
    """All campaigns."""

    campaigns: list[CampaignAnswer]


class RecipientBody(Recipient, frozen=True, kw_only=True):
    """A profile to keep; the id is that of the path."""

    id: Identifier | UnsetType = UNSET  # type: ignore[assignment]


class _Options(Struct, kw_only=True, forbid_unknown_fields=True):
    campaign_id: Identifier
    dedup_key: DedupKey | UnsetType = UNSET
    urgency: Urgency | UnsetType = UNSET
    channels: list[Channel] | UnsetType = UNSET
    send_at: Instant | UnsetType = UNSET
    content: Content | UnsetType = UNSET
    dry_run: bool | UnsetType = UNSET
    explain: bool | UnsetType = UNSET


class SendBody(_Options, kw_only=True, forbid_unknown_fields=True):
    """One recipient to decide on."""

    recipient: Recipient


class BatchBody(_Options, kw_only=True, forbid_unknown_fields=True):
    """Recipients to decide on, in order; what is wrong with one leaves the others alone."""

    recipients: Annotated[list[Recipient], Meta(max_length=100_000)]


class Check(Struct):
    """A step: what it read, its limit, whether it passed."""

    step: str
    read: Any
    limit: Any
    passed: bool


class ChannelExplanation(Struct):
    """How a channel fared; the score is the weighted sum of the factors."""

    viable: bool
    excluded_by: str | None
    tier: int | None
    factors: dict[str, Share]
    score: Share
    boost: Share
    cost: Amount
    scheduled_at: Instant | None
    deferred_from: Instant | None


class Explanation(Struct):
    """How a decision came about: the steps up to the one that failed, the channels, a sentence."""

    checks: list[Check]
    channels: dict[Channel, ChannelExplanation]
    weights: dict[str, Share]
    summary: str


class Decision(Struct):
    """The answer for one recipient; what does not apply is null."""

    message_id: str | None
    recipient_id: str | None
    status: Literal["scheduled", "blocked", "invalid", "unavailable"]
    reason: Reason | None
    detail: str | None
    channel: Channel | None
    scheduled_at: Instant | None
    scheduled_local: LocalTime | None
    fallback_chain: list[Channel] | None
    cost: Amount | None
    confidence: Share | None
    next_eligible_at: Instant | None
    warnings: list[str] | None
    errors: list[FieldProblem] | UnsetType = UNSET
    explanation: Explanation | UnsetType | None = UNSET


class BatchCounts(Struct):
    """Decisions by status; `unavailable` only where a shard did not answer."""

    scheduled: Count
    blocked: Count
    invalid: Count
    unavailable: Count | UnsetType = UNSET


class BatchAnswer(Struct):
    """Decisions in the order of the recipients."""

    batch_id: str | None
    counts: BatchCounts
    reasons: dict[Reason, Count]
    results: list[Decision]


class Attempt(Struct):
    """One try to deliver a message."""

    channel: Channel
    state: MessageState
    at: Instant | None
    provider_id: str | None
    detail: str | None


class Message(Struct):
    """What a scheduled decision created.

    The states `claimed`, `sent`, `unknown` and `expired`, `sent_at` and `provider_id` are for delivery, which is not
    here yet: no message has them.
    """

    message_id: str
    recipient_id: str
    campaign_id: str
    dedup_key: str
    state: MessageState
    channel: Channel
    scheduled_at: Instant
    sent_at: Instant | None
    cost: Amount
    fallback_chain: list[Channel]
    attempts: list[Attempt]


class EventsBody(Struct, forbid_unknown_fields=True):
    """Events to take; what is wrong with one leaves the others alone."""

    events: Annotated[list[Event], Meta(max_length=100_000)]


class EventResult(Struct):
    """What became of an event; `errors` where it is invalid."""

    id: str | None
    status: Literal["applied", "seen", "unknown", "invalid"]
    errors: list[FieldProblem] | UnsetType = UNSET


class EventsAnswer(Struct):
    """Results in the order of the events."""

    results: list[EventResult]


class SendGridEvent(Struct):
    """An event as SendGrid tells it; it has more fields. Those without a message's id are ignored."""

    event: str
    sg_event_id: str
    timestamp: int
    """Seconds since 1970."""
    type: str | UnsetType = UNSET
    """Of a bounce."""
    message_id: str | UnsetType = UNSET
    """The custom argument."""


class TwilioStatus(Struct, rename="pascal"):
    """What became of a message as Twilio tells it; it has more fields."""

    message_sid: str
    message_status: str
    to: str | UnsetType = UNSET
    """The channel follows from it."""
    error_code: str | UnsetType = UNSET


class TakenEvents(Struct):
    """What became of a provider's events; `ignored` are those that say nothing of a message of ours."""

    applied: Count
    seen: Count
    unknown: Count
    ignored: Count


class SuppressionView(Struct):
    """A hard stop in force."""

    channel: SuppressionScope
    until: Instant | None
    reason: Text | None


class SuppressionList(Struct):
    """Every hard stop in force for a recipient."""

    suppressions: list[SuppressionView]


class CapUse(Struct):
    """Of a frequency cap."""

    used: Count
    limit: Count


class CapsUse(Struct):
    """Of the default caps, in 24 and in 168 hours."""

    daily: CapUse
    weekly: CapUse


class RecipientView(Struct):
    """What is known of a recipient."""

    recipient: Recipient
    messages: list[Message]
    suppressions: list[SuppressionView]
    caps: CapsUse
    next_eligible_at: Instant | None


class ChannelStatus(Struct):
    """What a campaign did on a channel."""

    messages: Count
    committed: Amount
    delivered: Count
    engaged: Count
    converted: Count


class TodayStatus(Struct):
    """Of the campaign's local day."""

    committed: Amount
    limit: Amount | None


class ChannelBudgetStatus(Struct):
    """Of a channel with a budget of its own."""

    total: Amount
    committed: Amount
    remaining: Amount


class BudgetStatus(Struct):
    """Of the campaign's money; no bound is null."""

    total: Amount | None
    committed: Amount
    spent: Amount
    remaining: Amount | None
    today: TodayStatus
    per_channel: dict[Channel, ChannelBudgetStatus]


class PacingStatus(Struct):
    """What is committed against an even spend of the total over the period.

    `ratio` is null while the even spend is nothing, `exhausted_at` where the total lasts for the period.
    """

    ideal: Amount
    actual: Amount
    ratio: float | None
    recommendation: Recommendation
    suggested_daily_messages: Count
    projected_total: Amount
    exhausted_at: Instant | None


class Performance(Struct):
    """What came of the messages; rates are shares of delivered."""

    delivered: Count
    opened: Count
    clicked: Count
    converted: Count
    open_rate: float | None
    click_rate: float | None
    conversion_rate: float | None
    cost_per_message: Amount | None
    cost_per_conversion: Amount | None
    revenue: Amount
    roi: float | None


class SendTimes(Struct):
    """Instants by local hour of the recipients."""

    by_local_hour: Annotated[list[Count], Meta(min_length=24, max_length=24)]


class Status(Struct):
    """How a campaign does."""

    campaign_id: str
    state: CampaignState
    as_of: Instant
    messages: dict[MessageState, Count]
    blocked: dict[Reason, Count]
    by_channel: dict[Channel, ChannelStatus]
    budget: BudgetStatus
    pacing: PacingStatus
    performance: Performance
    send_times: SendTimes


class Clock(Struct, forbid_unknown_fields=True):
    """What time it is, under the manual clock."""

    now: Instant


class Health(Struct):
    """It is well."""

    status: Literal["ok"]
