"""What the reference model answers to those who read: a message, a recipient, a campaign's status."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import Any

from tests.reference_outcomes import instants_of
from tests.reference_rules import CHANNELS, DAY, WEEK, money, most_around, next_eligible, rfc

STATES = ("scheduled", "claimed", "sent", "delivered", "failed", "unknown", "cancelled", "expired")
LIVE = ("scheduled", "claimed", "sent", "delivered", "unknown")
ENGAGED = {"opened", "clicked", "replied", "converted"}


def message(m: Any) -> dict:
    view = {"message_id": m.id, "recipient_id": m.person, "campaign_id": m.campaign, "dedup_key": m.key}
    view |= {"state": m.state, "channel": m.channel, "scheduled_at": rfc(m.at), "cost": money(m.cost)}
    view |= {"sent_at": None if m.sent_at is None else rfc(m.sent_at)}
    attempts = [a | {"at": rfc(a["at"])} for a in m.attempts]
    return view | {"fallback_chain": m.chain, "attempts": attempts}


def recipient(model: Any, person: Any, now: int) -> dict:
    counted = [(at, channel) for at, channel, m in instants_of(person) if not m.transactional]
    suppressed = model.suppressed(person, now)
    stopped = suppressed | model.opted_out(person)
    candidates = [c for c in person.profile.get("contacts", {}) if not stopped & {c, "all"}]
    free = next_eligible(counted, candidates, (3, 10), model.gaps, now)
    return {
        "recipient": {"id": person.id} | person.profile,
        "messages": [message(m) for m in reversed(person.messages)],  # Open: cancelled ones, too; the newest first
        "suppressions": [  # Open: one that is over is not shown.
            {"channel": c, "until": rfc(s["until"]), "reason": s["reason"]}
            for c, s in person.suppressions.items()
            if c in suppressed
        ],
        "caps": {  # Open: "used" is the most instants that one span holding `now` has; used = limit: not now.
            "daily": {"used": most_around(counted, now, DAY), "limit": 3},
            "weekly": {"used": most_around(counted, now, WEEK), "limit": 10},
        },
        "next_eligible_at": None if free == now else rfc(free),
    }


def status(model: Any, campaign: Any, now: int) -> dict:
    states = Counter(m.state for m in campaign.messages)
    happened = [m.happened for m in campaign.messages]
    counted = {t: sum(t in h for h in happened) for t in ("delivered", "opened", "clicked", "converted")}
    return {
        "campaign_id": campaign.id,
        "state": model.state(campaign, now),
        "messages": {s: states[s] for s in STATES},
        "blocked": dict(campaign.blocked),
        "by_channel": {c: of_channel(campaign, c) for c in CHANNELS},
        "budget": budget(model, campaign, now),
        "pacing": pacing(campaign, now),
        "performance": counted | {"revenue": money(campaign.revenue)},  # Open: messages, not events
    }


def of_channel(campaign: Any, channel: str) -> dict:
    all_there = [m for m in campaign.messages if m.channel == channel]
    live = [m for m in all_there if m.state in LIVE]
    charges = [c.cost for m in campaign.messages for c in m.charges + m.given_up if c.channel == channel]
    return {
        "messages": len(live),  # Open: those with a place, so neither the cancelled nor earlier attempts
        "committed": money(sum(m.cost for m in live) + sum(charges)),
        "delivered": sum("delivered" in m.happened for m in all_there),  # Open: messages, not events
        "engaged": sum(bool(m.happened & ENGAGED) for m in all_there),
        "converted": sum("converted" in m.happened for m in all_there),
    }


def budget(model: Any, campaign: Any, now: int) -> dict:
    committed = campaign.committed
    spent = sum(m.cost for m in campaign.messages if m.state in ("sent", "delivered"))
    spent += sum(c.cost for m in campaign.messages for c in m.charges + m.given_up)
    today = committed["money", model.day(campaign, now)]
    return {
        "total": limit(campaign.total),
        "committed": money(committed["total"]),
        "spent": money(spent),
        "remaining": limit(max(0, campaign.total - committed["total"])),
        "today": {"committed": money(today), "limit": limit(campaign.daily)},
        "per_channel": {
            c: {
                "total": money(most),
                "committed": money(committed[c]),
                "remaining": money(max(0, most - committed[c])),
            }
            for c, most in campaign.per_channel.items()
        },
    }


def pacing(campaign: Any, now: int) -> dict:
    start, end, total, committed = campaign.starts_at, campaign.ends_at, campaign.total, campaign.committed["total"]
    number = sum(m.state in LIVE for m in campaign.messages)
    view = {"ideal": "0.00", "actual": money(committed), "ratio": None, "recommendation": "maintain"}
    view |= {"suggested_daily_messages": 0, "projected_total": money(committed), "exhausted_at": None}
    if math.inf in (-start, end):
        return view
    passed, length = min(max(now - start, 0), end - start), end - start  # Open: the period has not less, nor more.
    if passed:
        view["projected_total"] = money(half_up(Fraction(committed * length, passed)))
    if total == math.inf:
        return view
    ideal = Fraction(total * passed, length)
    view["ideal"] = money(half_up(ideal))
    if ideal:
        ratio = committed / ideal
        view["ratio"] = float(round(ratio, 6))
        view["recommendation"] = "reduce" if 10 * ratio > 11 else "increase" if 10 * ratio < 9 else "maintain"
    days_left = Fraction(end - max(now, start), DAY)  # Open: fractions of days count, in 24 hours each.
    if committed and days_left > 0:
        mean = Fraction(committed, number)
        view["suggested_daily_messages"] = max(0, total - committed) / mean / days_left // 1
    if committed and passed:
        reached = math.ceil(start + total / Fraction(committed, passed))  # Open: the first whole second
        view["exhausted_at"] = rfc(reached) if reached < end else None
    return view


def half_up(amount: Fraction) -> int:
    return math.floor(amount + Fraction(1, 2))


def limit(amount: float) -> str | None:
    return None if amount == math.inf else money(int(amount))
