"""People as a campaign's list holds them: made up, the same every time, none like the last.

Shares are round numbers near those of a consumer list: everyone has an e-mail address, seven of ten a
telephone, every third uses WhatsApp, every fourth Instagram or Facebook; one in five set a preference.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import msgspec

ZONES = (
    *("America/New_York",) * 4,
    *("America/Chicago",) * 3,
    *("America/Los_Angeles",) * 2,
    "America/Denver",
    "America/Port-au-Prince",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Lagos",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Sydney",
)
DEVICES = ("mobile", "mobile", "mobile", "desktop", "tablet", "unknown")
PREFERENCES: tuple[dict[str, Any], ...] = (
    {"channels": ["whatsapp", "sms"]},
    {"channels": ["email"]},
    {"opt_out": ["sms"]},
    {"quiet_hours": {"start": "20:00", "end": "09:00"}},
    {"channels": ["instagram"], "quiet_hours": {"start": "22:00", "end": "07:30"}},
)
PROFILES = 10_000
"""So many different ones in a `crowd`."""


def recipient_name(number: int) -> str:
    """The id of person `number`."""
    return f"customer-{number:08d}"


def recipient(number: int) -> dict[str, Any]:
    """Person `number`, with a profile that depends on the number alone."""
    chance = random.Random(number)
    name = recipient_name(number)
    telephone = f"+1555{number % 10_000_000:07d}"
    contacts = {"email": f"{name}@example.com"}
    if chance.random() < 0.7:
        contacts["sms"] = telephone
    if chance.random() < 0.33:
        contacts["whatsapp"] = telephone
    if chance.random() < 0.25:
        contacts["instagram"] = name
    if chance.random() < 0.25:
        contacts["facebook"] = name
    person: dict[str, Any] = {
        "id": name,
        "customer_type": chance.choice(("new", "existing")),
        "timezone": chance.choice(ZONES),
        "device": chance.choice(DEVICES),
        "contacts": contacts,
    }
    if chance.random() < 0.2:
        person["preferences"] = chance.choice(PREFERENCES)
    return person


def people(first: int, size: int) -> bytes:
    """The people `first` to `first + size - 1` as a JSON array."""
    return msgspec.json.encode([recipient(number) for number in range(first, first + size)])


def crowd(first: int, size: int) -> bytes:
    """As `people`, but fast, for millions: everyone has a name, addresses and a telephone of their
    own, but the rest of the profile is that of one of the first 10,000 people. The people are of one ten thousand.
    """
    block, start = divmod(first, PROFILES)
    assert start + size <= PROFILES, "these people are of two blocks"
    named = _first_people(start, size).replace(b"customer-0000", b"customer-%04d" % block)
    return named.replace(b"+1555000", b"+1555%03d" % (block % 1000))


@lru_cache(maxsize=1)
def _first_people(start: int, size: int) -> bytes:
    return people(start, size)


def batch_body(campaign_id: str, dedup_key: str, recipients: bytes) -> bytes:
    """A `/send-batch` request for an array of `people`, encoded. A key of its own makes it no duplicate."""
    request = {"campaign_id": campaign_id, "dedup_key": dedup_key, "recipients": msgspec.Raw(recipients)}
    return msgspec.json.encode(request)


def send_body(campaign_id: str, number: int) -> bytes:
    """A `/send` request for one person, encoded."""
    return msgspec.json.encode({"campaign_id": campaign_id, "recipient": recipient(number)})
