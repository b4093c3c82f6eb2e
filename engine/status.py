"""The status of a campaign (contract, section 6): the shards' tallies added up, and arithmetic on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any, TypedDict, cast

from engine._core import CHANNELS, MESSAGE_STATES, REASONS
from engine.model import CHANNEL_NAMES, Budget, Campaign
from engine.money import format_amount
from engine.pacing import Pacing
from engine.scalars import Instant

__all__ = ["ChannelTally", "Tally", "build_status"]

_WITH_A_PLACE = frozenset({"scheduled", "claimed", "sent", "delivered", "unknown"})


class ChannelTally(TypedDict):
    """Of one channel on one shard: messages that hold a place, micro-units, messages by what they became."""

    messages: int
    committed: int
    spent: int
    delivered: int
    engaged: int
    converted: int


class Tally(TypedDict):
    """What one shard knows of a campaign. Money is micro-units."""

    messages: Sequence[int]
    """By message state."""
    blocked: Sequence[int]
    """By reason."""
    channels: Sequence[ChannelTally]
    """By channel."""
    opened: int
    clicked: int
    converted: int
    revenue: int
    days: Mapping[int, tuple[int, int]]
    """(committed, messages) by the campaign's local day of the instant, as days since 1970-01-01."""
    hours: Sequence[int]
    """Instants by local hour of the recipient, 24 of them."""


def build_status(campaign: Campaign, paused: bool, tallies: Sequence[Tally], now: int) -> dict[str, Any]:
    """The status at `now` as it is answered. Rates are shares of delivered, rounded to 6 decimals."""
    messages = dict(zip(MESSAGE_STATES, _added(tally["messages"] for tally in tallies), strict=True))
    blocked = dict(zip(REASONS, _added(tally["blocked"] for tally in tallies), strict=True))
    channels = [_channel(tallies, index) for index in range(len(CHANNELS))]
    return {
        "campaign_id": campaign.id,
        "state": campaign.state(now, paused),
        "as_of": Instant(now).write(),
        "messages": messages,
        "blocked": blocked,
        "by_channel": {
            name: {
                "messages": channel["messages"],
                "committed": format_amount(channel["committed"]),
                "delivered": channel["delivered"],
                "engaged": channel["engaged"],
                "converted": channel["converted"],
            }
            for name, channel in zip(CHANNELS, channels, strict=True)
        },
        "budget": _budget(campaign, tallies, channels, now),
        "pacing": _pacing(campaign, channels, messages, now),
        "performance": _performance(tallies, channels, messages),
        "send_times": {"by_local_hour": _added(tally["hours"] for tally in tallies)},
    }


def _added(rows: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _channel(tallies: Sequence[Tally], index: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update(cast("Mapping[str, int]", tally["channels"][index]))
    return total


def _budget(campaign: Campaign, tallies: Sequence[Tally], channels: Sequence[Counter[str]], now: int) -> dict[str, Any]:
    budget = campaign.budget or Budget()
    committed = sum(channel["committed"] for channel in channels)
    today = campaign.local_day(now)
    return {
        "total": _optional(budget.total),
        "committed": format_amount(committed),
        "spent": format_amount(sum(channel["spent"] for channel in channels)),
        "remaining": _remaining(budget.total, committed),
        "today": {
            "committed": format_amount(sum(tally["days"].get(today, (0, 0))[0] for tally in tallies)),
            "limit": _optional(budget.daily),
        },
        "per_channel": {
            name: {
                "total": format_amount(limit),
                "committed": format_amount(channels[index]["committed"]),
                "remaining": _remaining(limit, channels[index]["committed"]),
            }
            for index, name in enumerate(CHANNEL_NAMES)
            if (limit := budget.per_channel.get(name)) is not None
        },
    }


def _pacing(
    campaign: Campaign, channels: Sequence[Counter[str]], messages: Mapping[str, int], now: int
) -> dict[str, Any]:
    starts_at, ends_at = campaign.starts_at, campaign.ends_at
    pacing = Pacing(
        total=None if campaign.budget is None else campaign.budget.total,
        period=None if starts_at is None or ends_at is None else (starts_at, ends_at),
        committed=sum(channel["committed"] for channel in channels),
        messages=sum(messages[state] for state in _WITH_A_PLACE),
        now=now,
    )
    return {
        "ideal": format_amount(_nearest(pacing.ideal)),
        "actual": format_amount(pacing.committed),
        "ratio": None if pacing.ratio is None else float(round(pacing.ratio, 6)),
        "recommendation": pacing.recommendation,
        "suggested_daily_messages": pacing.suggested_daily_messages,
        "projected_total": format_amount(_nearest(pacing.projected_total)),
        "exhausted_at": None if pacing.exhausted_at is None else Instant(pacing.exhausted_at).write(),
    }


def _performance(
    tallies: Sequence[Tally], channels: Sequence[Counter[str]], messages: Mapping[str, int]
) -> dict[str, Any]:
    """Per message: committed, by messages that hold a place; per conversion: spent, by conversions."""
    delivered = sum(channel["delivered"] for channel in channels)
    opened, clicked, converted = (sum(tally[key] for tally in tallies) for key in ("opened", "clicked", "converted"))
    committed, spent = (sum(channel[key] for channel in channels) for key in ("committed", "spent"))
    revenue = sum(tally["revenue"] for tally in tallies)
    return {
        "delivered": delivered,
        "opened": opened,
        "clicked": clicked,
        "converted": converted,
        "open_rate": _ratio(opened, delivered),
        "click_rate": _ratio(clicked, delivered),
        "conversion_rate": _ratio(converted, delivered),
        "cost_per_message": _each(committed, sum(messages[state] for state in _WITH_A_PLACE)),
        "cost_per_conversion": _each(spent, converted),
        "revenue": format_amount(revenue),
        "roi": _ratio(revenue - spent, spent),
    }


def _optional(amount: int | None) -> str | None:
    return None if amount is None else format_amount(amount)


def _remaining(limit: int | None, committed: int) -> str | None:
    return None if limit is None else format_amount(max(0, limit - committed))


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _each(amount: int, count: int) -> str | None:
    """An amount shared by `count`."""
    return format_amount(_nearest(Fraction(amount, count))) if count else None


def _nearest(amount: Fraction) -> int:
    """The nearest micro-unit, halves up."""
    return floor(amount + Fraction(1, 2))
