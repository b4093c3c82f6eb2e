"""Requests that a user would send: for Hypothesis, and for seeded drivers that need them by the million.

Each maker takes a source of choices first: `Draws` asks Hypothesis (and so shrinks), `Dice` a seeded
`random.Random` (and so is fast). Everything made is a decoded JSON body; instants are whole seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from tests.reference_rules import CHANNELS, DAY, HOUR, MINUTE

Item = TypeVar("Item")

ZONES = (
    "UTC",
    "America/Port-au-Prince",
    "America/New_York",
    "America/St_Johns",  # -03:30, with summer time
    "America/Havana",  # changes at midnight
    "Europe/London",
    "Africa/Casablanca",  # back an hour for Ramadan
    "Africa/Cairo",  # changes at midnight
    "Antarctica/Troll",  # changes by two hours
    "Asia/Kolkata",  # +05:30
    "Asia/Kathmandu",  # +05:45
    "Australia/Lord_Howe",  # changes by half an hour
    "Pacific/Chatham",  # +12:45, with summer time
    "Pacific/Kiritimati",  # +14
    "Pacific/Niue",  # -11
)

STARTS = tuple(
    int(datetime(*date, tzinfo=UTC).timestamp())
    for date in (
        (2026, 1, 14),  # nothing changes
        (2026, 2, 14),  # Casablanca back on the 15th
        (2026, 3, 7),  # New York, St John's, Havana forward on the 8th
        (2026, 3, 28),  # London, Troll forward on the 29th
        (2026, 4, 4),  # Lord Howe, Chatham back on the 5th (local)
        (2026, 4, 23),  # Cairo forward on the 24th
        (2026, 9, 25),  # Chatham forward on the 27th (local)
        (2026, 10, 2),  # Lord Howe forward on the 4th (local)
        (2026, 10, 24),  # London, Troll back on the 25th
        (2026, 10, 28),  # Cairo back on the 30th
        (2026, 10, 31),  # New York, St John's, Havana back on November 1st
        (2027, 12, 31),  # the turn of a year
    )
)

TIMES_OF_DAY = ("00:00", "02:00", "02:30", "08:00", "09:30", "12:00", "12:45", "18:00", "21:00", "23:59")
SAYING_TEXT = {"sms": {"text": "{{ text|default('Hello') }}"}}
"""The templates that the model knows. Who has them, and what they say, is no draw of its own: it would change all that
follows in seeds that tests name."""
TEXTS = ("Hello", "a" * 160, "a" * 161, "ú" * 71, "€" * 160, "a" * 152 + "€" + "a" * 152, "😀" * 67)
STEPS = (0, 0, 0, 1, 30, 59, MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 7 * HOUR, 20 * HOUR)
BY_DAY = {"start": "08:00", "end": "21:00"}
EVENT_TYPES = (
    *("delivered", "opened", "clicked", "replied", "converted"),
    *("failed", "bounced", "complained", "unsubscribed"),
)
SUCCESSES = EVENT_TYPES[:5]
AGES = (HOUR, 0, 1, -1, -HOUR, DAY, 3 * DAY, 45 * DAY, 90 * DAY, 365 * DAY, 50 * 365 * DAY)  # of events


class Choices(Protocol):
    """A source of choices; the first or smallest is the plainest, to which Hypothesis shrinks."""

    def pick(self, items: Sequence[Item]) -> Item: ...

    def integer(self, low: int, high: int) -> int: ...

    def chance(self, percent: int) -> bool: ...


class Dice:
    """Choices from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.random.random() * len(items))]

    def integer(self, low: int, high: int) -> int:
        return low + int(self.random.random() * (high - low + 1))

    def chance(self, percent: int) -> bool:
        return self.random.random() * 100 < percent


class Draws:
    """Choices from Hypothesis, by the `draw` of a composite strategy or of `st.data()`."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def pick(self, items: Sequence[Item]) -> Item:
        return self.draw(st.sampled_from(items))

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) >= 100 - percent


def rfc3339(t: int, offset_minutes: int = 0) -> str:
    shifted = datetime.fromtimestamp(t, UTC) + timedelta(minutes=offset_minutes)
    text = shifted.strftime("%Y-%m-%dT%H:%M:%S")
    sign, size = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    return text + ("Z" if offset_minutes == 0 else f"{sign}{size // 60:02}:{size % 60:02}")


def make_instant(choices: Choices, t: int) -> str:
    """The instant `t` as one of the ways to write it."""
    text = rfc3339(t, choices.pick((0, 0, 0, -300, 345)))
    return text.replace("Z", ".999999Z") if choices.chance(5) else text


def make_span(choices: Choices) -> dict:
    return {"start": choices.pick(TIMES_OF_DAY), "end": choices.pick(TIMES_OF_DAY)}


def make_amount(choices: Choices, micro_max: int) -> str:
    """Mostly a multiple of 500 micro-units, so that sums meet limits exactly; else one beside it."""
    micro = choices.integer(0, micro_max // 500) * 500 + choices.pick((0, 0, 0, 0, 1, 499))
    whole, fraction = divmod(micro, 1_000_000)
    return f"{whole}.{fraction:06}"


def some(choices: Choices, items: Sequence[Item], percent: int) -> list[Item]:
    return [item for item in items if choices.chance(percent)]


# ---- recipients -------------------------------------------------------------------------------------------

UNUSABLE = {
    "email": (
        "",
        "ana",
        "ana@",
        "@example.com",
        "ana@example.com\r\nBcc: all@example.com",
        "a\x00@example.com",
    ),
    "sms": (
        "",
        "50937001234",
        "+0937001234",
        "+1 555 123 4567",
        "+155512345678901234",
        "+1555\n1234567",
        "no",
    ),
    "instagram": ("", "ana\r\n", "a\x07na"),
}
UNUSABLE |= {"whatsapp": UNUSABLE["sms"]} | dict.fromkeys(CHANNELS[4:], UNUSABLE["instagram"])


def make_address(choices: Choices, channel: str, recipient_id: str) -> str:
    number = sum(recipient_id.encode()) * 7919 % 10_000_000
    if choices.chance(4):
        return choices.pick(UNUSABLE[channel])
    if channel == "email":
        return f"r{number}@example.com"
    return f"+1555{number:07}" if channel in ("sms", "whatsapp") else f"handle{number}"


def make_contacts(choices: Choices, recipient_id: str) -> dict:
    channels = some(choices, CHANNELS, choices.pick((30, 60, 15, 100, 100)))
    return {c: make_address(choices, c, recipient_id) for c in channels or [choices.pick(CHANNELS)]}


def make_preferences(choices: Choices) -> dict:
    preferences: dict = {}
    if choices.chance(60):  # a channel named twice counts where it comes first
        preferences["channels"] = [choices.pick(CHANNELS) for _ in range(choices.integer(0, 4))]
    if choices.chance(20):
        preferences["opt_out"] = ["all"] if choices.chance(10) else some(choices, CHANNELS, 25)
    if choices.chance(35):
        preferences["quiet_hours"] = make_span(choices)
    return preferences


def make_recipient(choices: Choices, recipient_id: str, percent: int = 50) -> dict:
    """A valid recipient that gives each of its fields with `percent` chance."""
    recipient: dict = {"id": recipient_id}
    if choices.chance(percent):
        recipient["customer_type"] = choices.pick(("new", "existing"))
    if choices.chance(percent):
        recipient["timezone"] = choices.pick(ZONES)
    if choices.chance(percent):
        recipient["device"] = choices.pick(("mobile", "desktop", "tablet", "unknown"))
    if choices.chance(percent):
        recipient["contacts"] = make_contacts(choices, recipient_id)
    if choices.chance(percent // 2):
        recipient["preferences"] = make_preferences(choices)
    return recipient


FAULTS: tuple[dict, ...] = (
    {"id": ""},
    {"id": None},
    {"id": 7},
    {"id": "x" * 129},
    {"id": "é" * 65},
    {"id": "a\nb"},
    {"id": "a\x7fb"},
    {"customer_type": "old"},
    {"customer_type": None},
    {"customer_type": []},
    {"device": "phone"},
    {"device": 3},
    {"timezone": "Mars/Olympus"},
    {"timezone": "america/new_york"},
    {"timezone": None},
    {"contacts": None},
    {"contacts": ["email"]},
    {"contacts": {"fax": "+15551234567"}},
    {"contacts": {"email": 12}},
    {"preferences": "sms"},
    {"preferences": {"channels": "sms"}},
    {"preferences": {"channels": ["fax"]}},
    {"preferences": {"opt_out": ["everything"]}},
    {"preferences": {"opt_out": None}},
    {"preferences": {"quiet_hours": {"start": "21:00"}}},
    {"preferences": {"quiet_hours": {"start": "24:00", "end": "08:00"}}},
    {"preferences": {"quiet_hours": {"start": "9:00", "end": "08:00"}}},
    {"preferences": {"silent": True}},
    {"nickname": "Ana"},
)


def make_broken_recipient(choices: Choices, recipient_id: str) -> dict:
    """A recipient with one fault; its other fields, though right, change nothing."""
    recipient = make_recipient(choices, recipient_id)
    if choices.chance(4):
        del recipient["id"]
        return recipient
    return recipient | choices.pick(FAULTS)


# ---- campaigns and requests -------------------------------------------------------------------------------


def make_campaign(choices: Choices, campaign_id: str, zone: str, category: str, now: int) -> dict:
    """A campaign around `now`: mostly running, with small caps and budgets."""
    campaign: dict = {"id": campaign_id, "timezone": zone, "category": category}
    if choices.chance(60):
        campaign["urgency"] = choices.pick(("normal", "high", "low"))
    starts_at = now + choices.pick((-DAY, -HOUR, -1, 0, 0, 1))
    if choices.chance(35):
        campaign["starts_at"] = make_instant(choices, starts_at)
    if choices.chance(35):
        ends_at = starts_at + choices.pick((9 * DAY, 2 * DAY, 3 * DAY, 2, 30 * HOUR, 9 * HOUR))
        campaign["ends_at"] = make_instant(choices, ends_at)
    if choices.chance(50):
        campaign["channels"] = make_channels(choices)
    if choices.chance(50):
        campaign["budget"] = make_budget(choices)
    if choices.chance(50):
        costs = {c: make_amount(choices, 20_000) for c in some(choices, CHANNELS, 40)}
        campaign["costs"] = costs | ({"email": "0"} if choices.chance(10) else {})
    if choices.chance(70):
        campaign["limits"] = make_limits(choices)
    if choices.chance(30):
        campaign["send_window"] = make_span(choices) if choices.chance(50) else BY_DAY
    if choices.chance(35):
        campaign["on_cap"] = "defer"
    if choices.chance(40):
        campaign["max_attempts"] = choices.integer(1, 5)
    if choices.chance(30):
        campaign["dedup_key"] = choices.pick(("shared", "spring"))
    if choices.chance(40):
        campaign["conversion_value"] = make_amount(choices, 90_000_000)
    return campaign | ({"templates": SAYING_TEXT} if "conversion_value" in campaign else {})


def make_channels(choices: Choices) -> dict:
    channels: dict = {}
    if choices.chance(50):
        channels["allowed"] = some(choices, CHANNELS, 75) or ["email"]
    if choices.chance(60):
        channels["priority"] = {c: choices.integer(1, 3) for c in some(choices, CHANNELS, 40)}
    return channels


def make_budget(choices: Choices) -> dict:
    budget: dict = {"currency": "USD"}
    if choices.chance(60):
        budget["total"] = make_amount(choices, choices.pick((3_000_000, 600_000, 100_000)))
    if choices.chance(40):
        budget["daily"] = make_amount(choices, choices.pick((400_000, 60_000)))
    if choices.chance(40):
        budget["per_channel"] = {c: make_amount(choices, 300_000) for c in some(choices, CHANNELS, 40)}
    return budget


def make_limits(choices: Choices) -> dict:
    limits: dict = {}
    if choices.chance(25):
        limits["daily_messages"] = choices.pick((100, 30, 5, 1, 0))
    if choices.chance(60):
        limits["daily_cap"] = choices.pick((3, 1, 2, 4, 50, 0))
    if choices.chance(60):
        limits["weekly_cap"] = choices.pick((10, 2, 3, 4, 50))
    if choices.chance(25):
        limits["per_minute"] = choices.pick((1, 2, 3, 10))
    if choices.chance(50):
        limits["lookback_hours"] = choices.pick((24, 0, 1, 2, 72))
    return limits


def make_options(choices: Choices, now: int, instants: Sequence[int] = ()) -> dict:
    """The options of a send: `instants` are moments of interest, near which a `send_at` may fall."""
    options: dict = {}
    if choices.chance(25):
        options["urgency"] = choices.pick(("normal", "high", "low"))
    if choices.chance(12):
        options["channels"] = some(choices, CHANNELS, 50) or ["email"]
    if choices.chance(80):
        options["dedup_key"] = f"key-{choices.integer(0, 99)}" if choices.chance(90) else "shared"
    if choices.chance(20):
        near = choices.pick(instants) if instants and choices.chance(60) else now
        shift = choices.pick((0, -1, 1, 4 * HOUR, -4 * HOUR, DAY, -DAY, DAY - 1, 7 * DAY, 90 * MINUTE))
        options["send_at"] = make_instant(choices, near + shift)
    if choices.chance(5):
        options["content"] = {"subject": "Hello", "nested": [1, {"a": None}]}
    elif texts := TEXTS[sum(options.get("dedup_key", "").encode()) % (2 * len(TEXTS)) :][:1]:
        options["content"] = {"text": texts[0]}
    return options


def make_event(
    choices: Choices, number: int, message_ids: Sequence[str], now: int, types: Sequence[str] = EVENT_TYPES
) -> dict:
    """An event on one of `message_ids`; a few are wrong, or on a message that is not there."""
    event: dict = {"id": f"e-{number}", "type": choices.pick(types)}
    event["message_id"] = choices.pick(message_ids) if message_ids else "m-ffffffffffffffff"
    if event["type"] == "converted" and choices.chance(60):
        event["value"] = make_amount(choices, 50_000_000)
    if choices.chance(40):
        event["at"] = make_instant(choices, now - choices.pick(AGES))
    if choices.chance(50):
        event["channel"] = choices.pick(CHANNELS[:4])
    wrong = choices.integer(0, 30)
    if wrong == 1:
        event["message_id"] = choices.pick(("m-ffffffffffffffff", "m-1", "nonsense"))
    elif wrong == 2:
        event["type"] = "glimpsed"
    elif wrong == 3:
        del event["type"]
    return event


# ---- for Hypothesis ---------------------------------------------------------------------------------------


@st.composite
def recipients(draw: Any, ids: Sequence[str] = ("r-0", "r-1", "r-2", "r-3")) -> dict:
    """A valid recipient."""
    choices = Draws(draw)
    return make_recipient(choices, choices.pick(ids))


@st.composite
def broken_recipients(draw: Any, ids: Sequence[str] = ("r-0", "r-1", "r-2", "r-3")) -> dict:
    """A recipient with a fault."""
    choices = Draws(draw)
    return make_broken_recipient(choices, choices.pick(ids))


@st.composite
def campaigns(draw: Any, campaign_id: str = "spring", now: int = STARTS[0]) -> dict:
    """A campaign around `now`."""
    choices = Draws(draw)
    category = choices.pick(("marketing", "transactional"))
    return make_campaign(choices, campaign_id, choices.pick(ZONES), category, now)


@st.composite
def batches(draw: Any, campaign_id: str = "spring", now: int = STARTS[0], size_max: int = 8) -> dict:
    """A send-batch body, some of its recipients repeated and some broken."""
    choices = Draws(draw)
    someone = st.one_of(recipients(), recipients(), broken_recipients())
    people = draw(st.lists(someone, max_size=size_max))
    return {"campaign_id": campaign_id, "recipients": people} | make_options(choices, now)
