"""What can be configured: the tables of defaults.toml as Structs. `engine.config` loads and checks them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from engine.money import AMOUNT_PATTERN

__all__ = ["MINUTE_PATTERN", "Settings"]

MINUTE_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z"

Share = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[float, Meta(gt=0, le=1)]
PriorDeliveries = Annotated[float, Meta(gt=0, le=1_000_000)]
Hour = Annotated[int, Meta(ge=0, le=23)]
Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
Amount = Annotated[str, Meta(pattern=AMOUNT_PATTERN)]
MinuteOfDay = Annotated[str, Meta(pattern=MINUTE_PATTERN)]


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: every field must be there, and no other."""


class Limits(_Table, frozen=True):
    """Bounds on what the front end takes at once, and on what a shard keeps to answer repeated requests."""

    body_bytes_max: Annotated[int, Meta(ge=1024, le=67_108_864)]
    requests_in_flight_max: Annotated[int, Meta(ge=1, le=65_536)]
    bytes_in_flight_max: Annotated[int, Meta(ge=1024)]
    kept_answers_bytes_max: Annotated[int, Meta(ge=65_536, le=1_099_511_627_776)]
    body_timeout_ms: Milliseconds
    shard_timeout_ms: Milliseconds
    drain_timeout_ms: Annotated[int, Meta(ge=0, le=6_000)]


class Weights(_Table, frozen=True):
    """What each factor weighs in the score; together 1."""

    customer_type: Share
    engagement: Share
    device: Share
    urgency: Share
    time_of_day: Share


class ChannelShares(_Table, frozen=True):
    """A number in [0, 1] for each channel."""

    email: Share
    sms: Share
    whatsapp: Share
    instagram: Share
    facebook: Share
    linkedin: Share
    twitter: Share


class CustomerTypeTable(_Table, frozen=True):
    new: ChannelShares
    existing: ChannelShares


class DeviceTable(_Table, frozen=True):
    mobile: ChannelShares
    desktop: ChannelShares
    tablet: ChannelShares
    unknown: ChannelShares


class UrgencyTable(_Table, frozen=True):
    low: ChannelShares
    normal: ChannelShares
    high: ChannelShares


class EngagementRates(_Table, frozen=True):
    """A rate above 0 for each channel: hour weights are shares of it."""

    email: Rate
    sms: Rate
    whatsapp: Rate
    instagram: Rate
    facebook: Rate
    linkedin: Rate
    twitter: Rate


class Engagement(_Table, frozen=True):
    """How counts decay, and the prior of the smoothed rate: p per channel, and k, what it weighs in deliveries."""

    half_life_days: Annotated[float, Meta(ge=0.01, le=36_500)]
    prior_deliveries: PriorDeliveries
    rate: EngagementRates


class ChannelHours(_Table, frozen=True):
    """Local hours for each channel; none means that no hour is better than another."""

    email: tuple[Hour, ...]
    sms: tuple[Hour, ...]
    whatsapp: tuple[Hour, ...]
    instagram: tuple[Hour, ...]
    facebook: tuple[Hour, ...]
    linkedin: tuple[Hour, ...]
    twitter: tuple[Hour, ...]


class BestHours(_Table, frozen=True):
    weight_elsewhere: Rate
    prior_deliveries: PriorDeliveries
    new: ChannelHours
    existing: ChannelHours


Gap = Annotated[float, Meta(ge=0, le=168)]


class ChannelGaps(_Table, frozen=True):
    """Hours between two messages to one recipient on one channel."""

    email: Gap
    sms: Gap
    whatsapp: Gap
    instagram: Gap
    facebook: Gap
    linkedin: Gap
    twitter: Gap


class QuietHours(_Table, frozen=True):
    """Local times of day, half-open, across midnight where `start` is later; equal ones restrict nothing."""

    start: MinuteOfDay
    end: MinuteOfDay


class ChannelCosts(_Table, frozen=True):
    """Decimal amounts, each the cost of one attempt."""

    email: Amount
    sms: Amount
    whatsapp: Amount
    instagram: Amount
    facebook: Amount
    linkedin: Amount
    twitter: Amount


class ChannelDelivery(_Table, frozen=True):
    """How messages of one channel leave."""

    adapter: Literal["outbox", "smtp", "sendgrid", "twilio", "webhook"]
    max_concurrent: Annotated[int, Meta(ge=1, le=1024)]
    per_second: Annotated[float, Meta(ge=0, le=1_000_000)]
    """0: no bound."""
    charge: Literal["success", "attempt"]
    """Whether an attempt that was made and failed costs what it would have cost."""
    success_within_hours: Annotated[float, Meta(ge=0, le=8_760)]
    """After which the next channel goes where nothing good was heard of one that was sent; 0: never."""


class Delivery(_Table, frozen=True):
    """Whether and how messages leave, by channel."""

    enabled: bool
    public_url: str
    """Where people and providers reach this server; empty: they do not."""
    claim_timeout_ms: Milliseconds
    attempt_timeout_ms: Milliseconds
    email: ChannelDelivery
    sms: ChannelDelivery
    whatsapp: ChannelDelivery
    instagram: ChannelDelivery
    facebook: ChannelDelivery
    linkedin: ChannelDelivery
    twitter: ChannelDelivery


class _Account(_Table, frozen=True):
    """Has credentials, which no log may show."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Smtp(_Account, frozen=True):
    """A mail server that takes messages."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)]
    security: Literal["starttls", "tls", "none"]
    username: str
    password: str
    sender: str
    """An address, or `Name <address>`."""


class SendGrid(_Account, frozen=True):
    base_url: str
    api_key: str
    sender: str
    """An address, or `Name <address>`."""
    webhook_public_key: str
    """Base64 of its DER, as SendGrid shows it; empty: its events are refused."""


class Twilio(_Account, frozen=True):
    base_url: str
    account_sid: str
    auth_token: str
    sms_sender: str
    """A number (E.164), or the id of a messaging service (MG…)."""
    whatsapp_sender: str


class Webhook(_Account, frozen=True):
    """The user's own sender, and the signature of the events that it sends back."""

    url: str
    secret: str
    private_hosts: tuple[str, ...]
    """Host names that may lie in private networks."""


class Settings(_Table, frozen=True):
    """The whole configuration, valid and with nothing left to fill in.

    `shards` is at least 1 here, and `api_keys` holds SHA-256 digests in hexadecimal, never a key. An empty `state_dir`
    is a temporary directory, which whoever starts the cluster makes and removes.
    """

    host: str
    port: Annotated[int, Meta(ge=0, le=65_535)]
    shards: Annotated[int, Meta(ge=0, le=1024)]
    clock: Literal["system", "manual"]
    state_dir: str
    api_keys: tuple[str, ...]
    limits: Limits
    weights: Weights
    customer_type: CustomerTypeTable
    device: DeviceTable
    urgency: UrgencyTable
    engagement: Engagement
    best_hours: BestHours
    min_gap_hours: ChannelGaps
    quiet_hours: QuietHours
    costs: ChannelCosts
    delivery: Delivery
    smtp: Smtp
    sendgrid: SendGrid
    twilio: Twilio
    webhook: Webhook
