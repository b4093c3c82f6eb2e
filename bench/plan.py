"""The marketing plan around the data: budgets, house rules and reminder waves of each real campaign.

Dates, types and households are the retailer's; a retailer's plan is not in the data, so this is a usual one.
Coupons are worth nothing unread, so each campaign speaks more than once: at its launch, before the weekends
(the data's busiest days), two days before the end, and by text message on the last day. A household that has
redeemed is not reminded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bench.journey import ZONE_NAME, RetailCampaign, as_utc, local_instant, local_midnight, next_day

COSTS = {"email": "0.002", "sms": "0.0079", "whatsapp": "0.025", "instagram": "0.006", "facebook": "0.006"}
RECEIPT_COSTS = {"email": "0.0004"}
RECEIPTS = "receipts"
RECEIPT = {"subject": "Your receipt", "text": "Thank you for shopping with us. Your receipt is in your account."}
RECEIPTS_BUDGET = "75.00"
SEND_WINDOW = {"start": "08:00", "end": "21:00"}
LOOKBACK_HOURS = 20
MORNING_HOUR = 6
FRIDAY = 4
QUIET_DAYS = 3
LAST_CALL_DAYS = 2


@dataclass(frozen=True, slots=True)
class HouseRules:
    """What a campaign of one type may spend (US dollars) and how often it may speak to a household."""

    total: str
    daily: str | None
    sms_total: str | None
    daily_messages: int | None
    daily_cap: int
    weekly_cap: int


HOUSE_RULES = {
    "A": HouseRules("50.00", None, "15.00", 1000, 3, 10),
    "B": HouseRules("6.00", "1.00", None, None, 2, 4),
    "C": HouseRules("8.00", None, None, None, 2, 3),
}


@dataclass(frozen=True, slots=True)
class Wave:
    """One mailing of a campaign: when, to whom it is addressed by name, and on which channels (None: all)."""

    campaign: RetailCampaign
    name: str
    day: date
    urgency: str
    channels: tuple[str, ...] | None

    @property
    def at(self) -> int:
        """The instant it is handed over: six in the morning, for the day to come."""
        return local_instant(self.day, MORNING_HOUR)

    @property
    def dedup_key(self) -> str:
        """Campaigns of one type share their waves of a day: one launch or reminder is enough."""
        return f"{self.campaign.kind}-{self.name}-{self.day}"


def campaign_name(campaign: RetailCampaign) -> str:
    """The id of a campaign: its type and its number in the data."""
    return f"{campaign.kind.lower()}-{campaign.number:02d}"


def campaign_body(campaign: RetailCampaign) -> dict[str, Any]:
    """The campaign as `PUT /campaigns/{id}` takes it."""
    rules = HOUSE_RULES[campaign.kind]
    budget: dict[str, Any] = {"currency": "USD", "total": rules.total}
    if rules.daily is not None:
        budget["daily"] = rules.daily
    if rules.sms_total is not None:
        budget["per_channel"] = {"sms": rules.sms_total}
    limits: dict[str, Any] = {
        "daily_cap": rules.daily_cap, "weekly_cap": rules.weekly_cap, "lookback_hours": LOOKBACK_HOURS
    }  # fmt: skip
    if rules.daily_messages is not None:
        limits["daily_messages"] = rules.daily_messages
    return {
        "name": f"Type {campaign.kind} campaign {campaign.number}",
        "timezone": ZONE_NAME,
        "starts_at": as_utc(local_midnight(campaign.first_day)),
        "ends_at": as_utc(local_midnight(next_day(campaign.last_day))),
        "budget": budget,
        "costs": COSTS,
        "limits": limits,
        "send_window": SEND_WINDOW,
    }


def wave_content(wave: Wave) -> dict[str, str]:
    """What the messages of a mailing say, on every channel."""
    last_day = f"{wave.campaign.last_day:%A, %B} {wave.campaign.last_day.day}"
    return {"subject": "Your coupons", "text": f"Show this message at the till: it is good until {last_day}."}


def receipts_body() -> dict[str, Any]:
    """One e-mail receipt for each basket, however many a day: a campaign that never counts as contact."""
    return {
        "name": "Receipts by e-mail",
        "category": "transactional",
        "timezone": ZONE_NAME,
        "channels": {"allowed": ["email"]},
        "budget": {"currency": "USD", "total": RECEIPTS_BUDGET},
        "costs": RECEIPT_COSTS,
        "limits": {"lookback_hours": 0},
    }


def waves_of(campaign: RetailCampaign, until: date) -> list[Wave]:
    """The campaign's mailings up to and including `until`, in order of time."""
    last_call = campaign.last_day - timedelta(days=LAST_CALL_DAYS)
    waves = [Wave(campaign, "launch", campaign.first_day, "normal", None)]
    day = campaign.first_day + timedelta(days=QUIET_DAYS)
    while day <= campaign.last_day - timedelta(days=QUIET_DAYS):
        if day.weekday() == FRIDAY:
            waves.append(Wave(campaign, "weekend", day, "normal", None))
        day = next_day(day)
    waves.append(Wave(campaign, "last-call", last_call, "high", None))
    waves.append(Wave(campaign, "last-day", campaign.last_day, "high", ("sms", "whatsapp")))
    return [wave for wave in waves if wave.day <= until]
