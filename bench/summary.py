"""The replay in figures: what the table shows and `--json` writes are the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from bench import checks
from bench.answers import Outcome, dollars
from bench.journey import DAY, Journey, as_utc
from bench.latency import latency_ms
from bench.machine import this_machine
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
    """What was promised, and each breach of it found by brute force; all lists empty is a pass."""
    campaigns, outcomes = campaigns_of(journey), replay.outcomes
    return {
        "every recipient answered once, in order, with right counts": replay.faults,
        "caps and channel gaps hold in every span": checks.check_caps(outcomes, campaigns),
        "no duplicate within its lookback": checks.check_duplicates(outcomes, campaigns),
        "no budget overspent: total, channel, day": checks.check_budgets(outcomes, campaigns),
        "send windows and quiet hours kept": checks.check_times(outcomes, campaigns),
        "status of every campaign is the sum of its answers": checks.check_statuses(
            outcomes, replay.converted, replay.statuses
        ),
    }


def summary(replay: Replay, journey: Journey, held: dict[str, list[str]]) -> dict[str, Any]:
    """All figures, ready for JSON."""
    marketing = [outcome for outcome in replay.outcomes if outcome.campaign != RECEIPTS]
    receipts = [outcome for outcome in replay.outcomes if outcome.campaign == RECEIPTS]
    batch_seconds = [seconds for _, seconds in replay.batch_seconds]
    decided = sum(size for size, _ in replay.batch_seconds)
    per_second = decided / sum(batch_seconds) if batch_seconds else 0.0
    return {
        "machine": this_machine().as_dict(),
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
        "decisions": {"marketing": _decisions(marketing), "receipts": _decisions(receipts)},
        "campaigns": [_campaign(replay, journey, position) for position in range(len(journey.campaigns))],
        "receipts": _receipts(replay),
        "caps": {"day": _cap_use(marketing, DAY), "week": _cap_use(marketing, checks.WEEK)},
        "hours": {
            "messages": _hours(marketing),
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


def _campaign(replay: Replay, journey: Journey, position: int) -> dict[str, Any]:
    campaign = journey.campaigns[position]
    status = replay.statuses[campaign_name(campaign)]
    return {
        "id": campaign_name(campaign),
        "type": campaign.kind,
        "first_day": campaign.first_day.isoformat(),
        "last_day": campaign.last_day.isoformat(),
        "households": len(campaign.households),
        "state": status["state"],
        "messages": sum(status["messages"].values()),
        "blocked": sum(status["blocked"].values()),
        "over_budget": status["blocked"].get("over_budget", 0),
        **{name: status["budget"][name] for name in ("total", "committed", "remaining")},
        "redemptions": sum(one.campaign == campaign_name(campaign) for one in replay.converted),
        **{name: status["performance"][name] for name in ("converted", "revenue", "roi")},
    }


def _receipts(replay: Replay) -> dict[str, Any]:
    status = replay.statuses[RECEIPTS]
    return {
        "messages": sum(status["messages"].values()),
        **{name: status["budget"][name] for name in ("total", "committed", "remaining")},
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
