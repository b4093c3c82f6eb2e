"""When the peer that decides with queries sends: the channel's best hour in the recipient's zone, where permitted."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

import pytz  # type: ignore[import-untyped]

from bench.journey import HOUR
from bench.peers.sqlalchemy_tables import Campaign, Recipient

__all__ = ["send_instant"]

BEST_HOURS = {"email": 9, "sms": 12, "whatsapp": 10, "instagram": 19, "facebook": 19}
QUIET = {"start": "21:00", "end": "08:00"}
MINUTE = 60
HOURS_LOOKED_AT = 48


def send_instant(campaign: Campaign, recipient: Recipient, channel: str, now: int) -> int | None:
    """Full hours from the next on: the best one of a day, else the first permitted of two; None if there is none."""
    first = -(-now // HOUR) * HOUR
    quiet = recipient.preferences.get("quiet_hours", QUIET)
    permitted = []
    for at in range(first, first + HOURS_LOOKED_AT * HOUR, HOUR):
        minute = _local_minute(at, recipient.timezone)
        in_window = _holds(campaign.window_start, campaign.window_end, minute)
        if in_window and (channel == "email" or not _holds(_minutes(quiet["start"]), _minutes(quiet["end"]), minute)):
            permitted.append(at)
            if minute // MINUTE == BEST_HOURS[channel]:
                return at
    return permitted[0] if permitted else None


@lru_cache(maxsize=64)
def _zone(name: str) -> Any:
    return pytz.timezone(name)


def _local_minute(at: int, zone: str) -> int:
    local = datetime.fromtimestamp(at, _zone(zone))
    return local.hour * MINUTE + local.minute


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * MINUTE + int(minute)


def _holds(start: int, end: int, minute: int) -> bool:
    return start <= minute < end if start <= end else minute >= start or minute < end
