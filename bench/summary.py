"""The replay in figures: what the table shows and `--json` writes are the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np

from bench import checks, delivery_checks
from bench.answers import Outcome, dollars
from bench.contacts import comes_back
from bench.journey import DAY, EPOCH, Journey, RetailCampaign, as_utc
from bench.latency import latency_ms
from bench.plan import RECEIPTS, campaign_body, campaign_name, receipts_body
from bench.replay import Replay
from bench.timeline import end_of, start_of

MINUTES = 60
TARGETS = {"messages_per_minute": 1000, "decision_ms": 100}


def campaigns_of(journey: Journey) -> dict[str, dict[str, Any]]:
    """Every campaign of the replay as it was put, by id."""
    bodies = {campaign_name(campaign): campaign_body(campaign) for campaign in journey.campaigns}
    return {**bodies, RECEIPTS: receipts_body()}


def run_checks(replay: Replay, journey: Journey) -> dict[str, list[str]]:
    """What was promised, and each breach of it found by brute force; all lists empty is a pass.

    Caps, keys and money are judged by what stands: what came back holds none of them any more.
    """
    campaigns, deliveries = campaigns_of(journey), replay.deliveries
    messages = list(deliveries.standing.values())
    outcomes = [*(one for one in replay.outcomes if one.message_id is None), *messages]
    return {
        "every recipient answered once, in order, with right counts": replay.faults,
        "caps and channel gaps hold in every span": checks.check_caps(messages, campaigns),
        "no duplicate within its lookback": checks.check_duplicates(messages, campaigns),
        "no budget overspent: total, channel, day": checks.check_budgets(messages, campaigns),
        "send windows and quiet hours kept": checks.check_times(deliveries.attempts, campaigns),
        "status of every campaign is the sum of its answers": [
            *checks.check_statuses(outcomes, replay.converted, replay.statuses),
            *delivery_checks.check_states(messages, replay.converted, replay.statuses),
        ],
        "every message landed once, in its hour, and nothing else": delivery_checks.check_landed(
            deliveries.attempts, deliveries.arrivals, deliveries.refusals
        ),
        "what came back went on by its fallback chain, or failed": deliveries.faults,
    }


def summary(replay: Replay, journey: Journey, held: dict[str, list[str]]) -> dict[str, Any]:
    """All figures, ready for JSON."""
    marketing = [outcome for outcome in replay.outcomes if outcome.campaign != RECEIPTS]
    reached = [one for one in replay.deliveries.standing.values() if one.campaign != RECEIPTS and one.at is not None]
    receipts = [outcome for outcome in replay.outcomes if outcome.campaign == RECEIPTS]
    batch_seconds = [seconds for _, seconds in replay.batch_seconds]
    decided = sum(size for size, _ in replay.batch_seconds)
    per_second = decided / sum(batch_seconds) if batch_seconds else 0.0
    return {
        "journey": {
            "households": len(journey.households),
            "campaigns": len(journey.campaigns),
            "baskets": len(journey.baskets),
            "redemptions": len(journey.redemptions),
            "from": as_utc(start_of(journey)),
            "to": as_utc(end_of(journey)),
        },
        "targets": TARGETS,
        "seconds": round(replay.seconds, 2),
        "delivery": _delivery(replay),
        "decisions": {"marketing": _decisions(marketing), "receipts": _decisions(receipts)},
        "campaigns": [_campaign(replay, campaign) for campaign in journey.campaigns],
        "receipts": _receipts(replay, journey),
        "caps": {"day": _cap_use(reached, DAY), "week": _cap_use(reached, checks.WEEK)},
        "hours": {
            "messages": _hours(reached),
            "purchases": np.bincount(journey.baskets.hour, minlength=24).tolist(),
        },
        "redemptions": {
            "converted": len(replay.converted),
            "unreached": replay.unreached,
            "revenue": dollars(sum(one.value for one in replay.converted)),
        },
        "batch": {
            "requests": len(batch_seconds),
            "decisions": decided,
            "decisions_per_second": round(per_second),
            "largest": max((size for size, _ in replay.batch_seconds), default=0),
            "latency_ms": latency_ms(batch_seconds),
        },
        "single": {"requests": len(replay.single_seconds), "latency_ms": latency_ms(replay.single_seconds)},
        "checks": [
            {
                "promise": promise,
                "held": not faults,
                "faults": faults[: checks.SHOWN],
                "breaches": len(faults),
            }
            for promise, faults in held.items()
        ],
    }


def _decisions(outcomes: list[Outcome]) -> dict[str, Any]:
    channels = Counter(outcome.channel for outcome in outcomes if outcome.channel and outcome.at is not None)
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.status == "blocked")
    return {
        "total": len(outcomes),
        "scheduled": channels.total(),
        "by_channel": dict(channels.most_common()),
        "blocked": reasons.total(),
        "by_reason": dict(reasons.most_common()),
    }


def _campaign(replay: Replay, campaign: RetailCampaign) -> dict[str, Any]:
    name = campaign_name(campaign)
    return {
        **_standing(replay, name, len(campaign.households)),
        "type": campaign.kind,
        "first_day": campaign.first_day.isoformat(),
        "last_day": campaign.last_day.isoformat(),
        "redemptions": sum(one.campaign == name for one in replay.converted),
        **{figure: replay.statuses[name]["performance"][figure] for figure in ("converted", "revenue", "roi")},
    }


def _receipts(replay: Replay, journey: Journey) -> dict[str, Any]:
    first, last = journey.baskets.day[[0, -1]].tolist()
    days = {name: (EPOCH + timedelta(days=day)).isoformat() for name, day in (("first_day", first), ("last_day", last))}
    return {**_standing(replay, RECEIPTS, len(journey.households)), **days}


def _standing(replay: Replay, name: str, households: int) -> dict[str, Any]:
    """What `/status` says of a campaign, in short."""
    status = replay.statuses[name]
    return {
        "id": name,
        "state": status["state"],
        "households": households,
        "messages": sum(status["messages"].values()),
        "blocked": sum(status["blocked"].values()),
        "over_budget": status["blocked"].get("over_budget", 0),
        **{figure: status["budget"][figure] for figure in ("total", "committed", "remaining")},
    }


def _delivery(replay: Replay) -> dict[str, Any]:
    """What became of each channel's messages, and how long the clock stood for them."""
    deliveries = replay.deliveries
    landed = Counter((one.channel, comes_back(one.channel, one.household)) for one in deliveries.arrivals)
    landed["email", True] += deliveries.refusals.total()
    onward: defaultdict[str | None, Counter[str | None]] = defaultdict(Counter)
    ended: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for lost, after in deliveries.onward:
        if after.at is None:
            ended[lost.channel][after.status] += 1
        else:
            onward[lost.channel][after.channel] += 1
    return {
        "by_channel": {
            channel: {
                "arrived": count,
                "came_back": landed[channel, True],
                "fell_back_to": dict(onward[channel].most_common()),
                "failed": ended[channel]["failed"],
                "cancelled": ended[channel]["cancelled"],
            }
            for (channel, is_lost), count in landed.most_common()
            if not is_lost
        },
        "stops": deliveries.stops,
        "seconds": round(deliveries.seconds, 2),
    }


def _cap_use(outcomes: Iterable[Outcome], span: int) -> dict[str, int]:
    """How many households had at most 1, 2, … messages in any span of that length."""
    instants: dict[int, list[int]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.at is not None:
            instants[outcome.household].append(outcome.at)
    most = Counter(checks.most_in_a_span(some, span) for some in instants.values())
    return {str(count): most[count] for count in sorted(most)}


def _hours(outcomes: Iterable[Outcome]) -> list[int]:
    hours = Counter(outcome.local_minute // MINUTES for outcome in outcomes if outcome.local_minute is not None)
    return [hours[hour] for hour in range(24)]
