"""Messages and recipients as users see them (contract, section 5), from the core's plain numbers."""

from __future__ import annotations

from typing import Any

from engine._core import CHANNELS, CUSTOMER_TYPES, DEVICES, MESSAGE_STATES
from engine.model import CampaignLimits
from engine.money import format_amount
from engine.scalars import Instant, MinuteOfDay
from kernels import ZONE_NAMES

__all__ = ["message_view", "recipient_view"]

OPT_OUT_ALL = 1 << len(CHANNELS)


def message_view(raw: dict[str, Any]) -> dict[str, Any]:
    """The answer of `GET /messages/{id}`."""
    return {
        "message_id": raw["message_id"],
        "recipient_id": raw["recipient_id"],
        "campaign_id": raw["campaign_id"],
        "dedup_key": raw["dedup_key"],
        "state": MESSAGE_STATES[raw["state"]],
        "channel": CHANNELS[raw["channel"]],
        "scheduled_at": Instant(raw["scheduled_at"]).write(),
        "sent_at": None if raw["sent_at"] is None else Instant(raw["sent_at"]).write(),
        "cost": format_amount(raw["cost"]),
        "fallback_chain": [CHANNELS[code] for code in raw["chain"]],
        "attempts": [
            {
                "channel": CHANNELS[channel],
                "state": MESSAGE_STATES[state],
                "at": Instant(at).write(),
                "provider_id": provider_id,
                "detail": detail,
            }
            for channel, state, at, provider_id, detail in raw["attempts"]
        ],
    }


def recipient_view(raw: dict[str, Any], now: int, caps: CampaignLimits) -> dict[str, Any]:
    """The answer of `GET /recipients/{id}`."""
    next_eligible_at = raw["next_eligible_at"]
    return {
        "recipient": _profile(raw),
        "messages": [message_view(message) for message in raw["messages"]],
        "suppressions": [
            {
                "channel": "all" if channel is None else CHANNELS[channel],
                "until": None if until is None else Instant(until).write(),
                "reason": reason,
            }
            for channel, until, reason in raw["suppressions"]
        ],
        "caps": {
            "daily": {"used": raw["daily_used"], "limit": caps.daily_cap},
            "weekly": {"used": raw["weekly_used"], "limit": caps.weekly_cap},
        },
        "next_eligible_at": None
        if next_eligible_at is None or next_eligible_at <= now
        else Instant(next_eligible_at).write(),
    }


def _profile(raw: dict[str, Any]) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "id": raw["id"],
        "customer_type": CUSTOMER_TYPES[raw["customer_type"]],
        "device": DEVICES[raw["device"]],
        "contacts": {CHANNELS[code]: address for code, address in raw["contacts"]},
    }
    if raw["zone"] is not None:
        profile["timezone"] = ZONE_NAMES[raw["zone"]]
    preferences: dict[str, Any] = {}
    if raw["preferred"]:
        preferences["channels"] = [CHANNELS[code] for code in raw["preferred"]]
    if raw["opt_out"]:
        names = [name for code, name in enumerate(CHANNELS) if raw["opt_out"] & 1 << code]
        preferences["opt_out"] = ["all", *names] if raw["opt_out"] & OPT_OUT_ALL else names
    if raw["quiet"] is not None:
        start, end = raw["quiet"]
        preferences["quiet_hours"] = {"start": MinuteOfDay(start).write(), "end": MinuteOfDay(end).write()}
    if preferences:
        profile["preferences"] = preferences
    return profile
