"""Brute force over the answers: what the product promises, recomputed without it.

Every check takes the outcomes in the order they were decided and returns a sentence for each breach.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bench.answers import Conversion, Outcome, micros
from bench.journey import DAY, HOUR, Int64s, local_offsets

WEEK = 7 * DAY
GAP = 4 * HOUR
MINUTE = 60
DAILY_CAP = 3
WEEKLY_CAP = 10
LOOKBACK_HOURS = 24
SHOWN = 5
ENDED = ("failed", "cancelled")
"""States of a message that has no instant and takes no money."""

Campaigns = dict[str, dict[str, Any]]


def is_marketing(campaign: dict[str, Any]) -> bool:
    """Whether caps and gaps hold its messages."""
    return bool(campaign.get("category", "marketing") == "marketing")


def most_in_a_span(instants: Sequence[int], span: int) -> int:
    """The most instants that one half-open span of that many seconds holds."""
    return max((sum(start <= other < start + span for other in instants) for start in instants), default=0)


def check_campaign(
    outcomes: Sequence[Outcome], name: str, campaign: dict[str, Any], status: dict[str, Any]
) -> list[str]:
    """Caps, gaps, keys and money of one campaign in UTC, and that its status is the sum of the outcomes."""
    campaigns = {name: campaign}
    return [
        *check_caps(outcomes, campaigns),
        *check_duplicates(outcomes, campaigns),
        *check_budgets(outcomes, campaigns, offsets=np.zeros_like),
        *check_statuses(outcomes, [], {name: status}),
    ]


def check_caps(outcomes: Iterable[Outcome], campaigns: Campaigns) -> list[str]:
    """Caps of the deciding campaign and the gap of its channel, for every message at its decision."""
    faults = []
    instants: dict[int, list[int]] = defaultdict(list)
    on_channel: dict[tuple[int, str], list[int]] = defaultdict(list)
    for outcome in outcomes:
        campaign = campaigns[outcome.campaign]
        if outcome.at is None or outcome.channel is None or not is_marketing(campaign):
            continue
        limits = campaign.get("limits", {})
        at, mine, same = (
            outcome.at,
            instants[outcome.household],
            on_channel[outcome.household, outcome.channel],
        )
        insort(mine, at)
        for span, cap in (
            (DAY, limits.get("daily_cap", DAILY_CAP)),
            (WEEK, limits.get("weekly_cap", WEEKLY_CAP)),
        ):
            near = [other for other in mine if abs(other - at) < span]
            held = max(sum(start <= other < start + span for other in near) for start in near if start <= at)
            if held > cap:
                faults.append(f"household {outcome.household} has {held} messages in {span // HOUR} h around {at}")
        if any(abs(other - at) < GAP for other in same):
            faults.append(f"household {outcome.household} has two on {outcome.channel} within 4 h of {at}")
        same.append(at)
    return faults


def check_duplicates(outcomes: Iterable[Outcome], campaigns: Campaigns) -> list[str]:
    """No message repeats a key that the household has a message of, later than the lookback before now."""
    faults = []
    latest: dict[tuple[int, str], int] = {}
    for outcome in outcomes:
        if outcome.at is None:
            continue
        limits = campaigns[outcome.campaign].get("limits", {})
        earliest = outcome.now - limits.get("lookback_hours", LOOKBACK_HOURS) * HOUR
        key = (outcome.household, outcome.dedup_key)
        if latest.get(key, earliest) > earliest:
            faults.append(f"household {outcome.household} got {outcome.dedup_key} twice")
        latest[key] = max(latest.get(key, outcome.at), outcome.at)
    return faults


def check_budgets(
    outcomes: Sequence[Outcome], campaigns: Campaigns, offsets: Callable[[Int64s], Int64s] = local_offsets
) -> list[str]:
    """Total, per-channel and daily money and daily messages; the day is the campaign's local one of the message.

    `offsets` gives the seconds to add to instants to get the campaigns' wall time, New York's if not said.
    """
    spent: Counter[tuple[str, str, object]] = Counter()
    messages: Counter[tuple[str, int]] = Counter()
    at = _instants(outcomes)
    days = (at + offsets(at)) // DAY
    for outcome, day in zip(outcomes, days.tolist(), strict=True):
        if outcome.at is None:
            continue
        spent[outcome.campaign, "total", None] += outcome.cost
        spent[outcome.campaign, "per_channel", outcome.channel] += outcome.cost
        spent[outcome.campaign, "daily", day] += outcome.cost
        messages[outcome.campaign, day] += 1
    faults = []
    for (name, kind, key), amount in spent.items():
        limit = campaigns[name].get("budget", {}).get(kind)
        limit = limit.get(key) if isinstance(limit, dict) else limit
        if limit is not None and amount > micros(limit):
            faults.append(f"{name} spent {amount} micro-units of {limit} ({kind} {key})")
    for (name, day), count in messages.items():
        most = campaigns[name].get("limits", {}).get("daily_messages")
        if most is not None and count > most:
            faults.append(f"{name} has {count} messages of {most} on day {day}")
    return faults


def check_times(outcomes: Sequence[Outcome], campaigns: Campaigns) -> list[str]:
    """Not in the past, inside the send window, outside quiet hours, and rightly told as local time."""
    faults = []
    at = _instants(outcomes)
    minutes = (at + local_offsets(at)) % DAY // MINUTE
    for outcome, minute in zip(outcomes, minutes.tolist(), strict=True):
        if outcome.at is None:
            continue
        campaign = campaigns[outcome.campaign]
        told = f"household {outcome.household}, {outcome.campaign}, {outcome.channel} at {outcome.at}"
        if outcome.local_minute != minute:
            faults.append(f"{told}: local minute {outcome.local_minute} is {minute}")
        if outcome.at < outcome.now:
            faults.append(f"{told}: in the past")
        if not is_marketing(campaign):
            continue
        window = campaign.get("send_window")
        if window and not _holds((_minutes(window["start"]), _minutes(window["end"])), minute):
            faults.append(f"{told}: outside the send window")
        if outcome.channel != "email" and outcome.quiet[0] != outcome.quiet[1] and _holds(outcome.quiet, minute):
            faults.append(f"{told}: in quiet hours")
    return faults


def check_statuses(outcomes: Iterable[Outcome], converted: Iterable[Conversion], statuses: Campaigns) -> list[str]:
    """What `/status` says of each campaign is what its answers add up to; a message converts once."""
    messages: dict[str, Counter[str]] = defaultdict(Counter)
    blocked: dict[str, Counter[str]] = defaultdict(Counter)
    committed: Counter[str] = Counter()
    messages_converted: dict[str, set[str]] = defaultdict(set)
    revenue: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.channel is not None and outcome.at is not None:
            messages[outcome.campaign][outcome.channel] += 1
            committed[outcome.campaign] += outcome.cost
        elif outcome.reason is not None:
            blocked[outcome.campaign][outcome.reason] += 1
    for name, message_id, value in converted:
        messages_converted[name].add(message_id)
        revenue[name] += value
    faults = []
    for name, status in statuses.items():
        by_channel = {
            channel: figures["messages"] for channel, figures in status["by_channel"].items() if figures["messages"]
        }
        told = {
            "messages": (
                sum(count for state, count in status["messages"].items() if state not in ENDED),
                messages[name].total(),
            ),
            "messages by channel": (by_channel, dict(messages[name])),
            "blocked": (
                {key: count for key, count in status["blocked"].items() if count},
                dict(blocked[name]),
            ),
            "committed": (micros(status["budget"]["committed"]), committed[name]),
            "conversions": (status["performance"]["converted"], len(messages_converted[name])),
            "revenue": (micros(status["performance"]["revenue"]), revenue[name]),
        }
        faults += [
            f"{name}: status says {what} {said}, its answers {found}"
            for what, (said, found) in told.items()
            if said != found
        ]
    return faults


def _instants(outcomes: Sequence[Outcome]) -> Int64s:
    """The instant of each message; of what has none, the epoch."""
    return np.array([outcome.at if outcome.at is not None else 0 for outcome in outcomes], dtype=np.int64)


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _holds(window: tuple[int, int], minute: int) -> bool:
    """Whether the half-open window, which may cross midnight, holds the minute of the day."""
    start, end = window
    return start <= minute < end if start <= end else minute >= start or minute < end
