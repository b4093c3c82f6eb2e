"""The pure rules of the reference model: send time, caps and gaps, what a recipient may be.

Written from the contract. Instants are whole seconds since the epoch, money is micro-units, both int;
a minute is known by the instant it begins at.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache

import pytz
import xxhash

CHANNELS = ("email", "sms", "whatsapp", "instagram", "facebook", "linkedin", "twitter")
ZONES = frozenset(pytz.all_timezones)
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 7 * 86400


class Refused(Exception):  # noqa: N818
    """An error answer; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


# ---- words ------------------------------------------------------------------------------------------------


def micro(text: str) -> int:
    return int(Decimal(text) * 1_000_000)


def money(amount: int) -> str:
    whole, fraction = divmod(amount, 1_000_000)
    return f"{whole}.{f'{fraction:06}'.rstrip('0'):0<2}"


def instant(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1)


def rfc(t: int | None) -> str | None:
    return None if t is None else datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_time(t: int, zone: str) -> datetime:
    return datetime.fromtimestamp(t, pytz.timezone(zone))


def span_of_day(span: dict | None) -> tuple[int, int] | None:
    """Minutes of the day [start, end); None where it restricts nothing."""
    if span is None or span["start"] == span["end"]:
        return None
    start, end = (int(span[k][:2]) * 60 + int(span[k][3:]) for k in ("start", "end"))
    return start, end


def within(span: tuple[int, int], minute_of_day: int) -> bool:
    start, end = span
    return start <= minute_of_day < end if start < end else minute_of_day >= start or minute_of_day < end


# ---- step 6: send time, minute by minute through pytz -----------------------------------------------------


@cache
def minutes_of_day(zone: str, utc_hour: int) -> tuple[int, ...]:
    """The local minute of the day at each of the 60 minutes of a UTC hour."""
    start, end = (local_time(t, zone) for t in (utc_hour * HOUR, (utc_hour + 1) * HOUR))
    if start.utcoffset() == end.utcoffset():  # most hours: quicker than 60 look-ups
        return tuple((start.hour * 60 + start.minute + m) % 1440 for m in range(60))
    times = (local_time(utc_hour * HOUR + m * MINUTE, zone) for m in range(60))
    return tuple(t.hour * 60 + t.minute for t in times)


@cache
def wall_minute(zone: str, wall: datetime) -> int | None:
    """The instant of a wall-clock minute: the first of two, None where it is skipped."""
    tz = pytz.timezone(zone)
    try:
        return int(tz.localize(wall, is_dst=None).timestamp())
    except pytz.AmbiguousTimeError:
        return min(int(tz.localize(wall, is_dst=d).timestamp()) for d in (True, False))
    except pytz.NonExistentTimeError:
        return None


@cache
def wall_minutes(zone: str, hour: datetime) -> tuple[int, ...]:
    """The instants of the 60 minutes of a local hour, skipped ones at the end of the gap."""
    start, end = (wall_minute(zone, t) for t in (hour, hour + timedelta(hours=1)))
    if start is not None and end is not None and end - start == HOUR:  # most hours: nothing changes
        return tuple(range(start, end, MINUTE))
    found = [wall_minute(zone, hour + timedelta(minutes=m)) for m in range(60)]
    following = wall_minutes(zone, hour + timedelta(hours=1))[0] if found[-1] is None else None
    for i in reversed(range(60)):
        following = found[i] = following if found[i] is None else found[i]
    return tuple(found)


# A `place` is (zone, starts_at, ends_at, send window, quiet hours): all that permits or forbids a minute.


@cache
def allowed_by_day(window: tuple | None, quiet: tuple | None) -> tuple[bool, ...]:
    """Of each minute of the day whether it is in the send window and outside the quiet hours."""
    return tuple((window is None or within(window, m)) and not (quiet and within(quiet, m)) for m in range(1440))


def permitted(place: tuple, t: int) -> bool:
    zone, starts_at, ends_at, window, quiet = place
    local = minutes_of_day(zone, t // HOUR)[t % HOUR // MINUTE]
    return starts_at <= t < ends_at and allowed_by_day(window, quiet)[local]


@lru_cache(400_000)
def open_minutes(zone: str, window: tuple | None, quiet: tuple | None, utc_hour: int) -> tuple[int, ...]:
    """The minutes of a UTC hour that are permitted as far as the time of day goes."""
    allowed, locals_ = allowed_by_day(window, quiet), minutes_of_day(zone, utc_hour)
    return tuple(utc_hour * HOUR + m * MINUTE for m in range(60) if allowed[locals_[m]])


@lru_cache(100_000)
def first_permitted(place: tuple, start: int, now: int) -> int | None:
    """The first permitted instant in the minutes from `start` on; four days hold every minute of the day."""
    zone, starts_at, ends_at, window, quiet = place
    end = min(start + 4 * DAY, ends_at)
    hours = range(start // HOUR, end // HOUR + 1)  # an hour at a time: most are open or closed whole
    minutes = (m for hour in hours for m in open_minutes(zone, window, quiet, hour) if start <= m < end)
    return next((t for m in minutes if starts_at <= (t := max(m, now)) < ends_at), None)


# `is_full` tells of an instant whether its UTC minute holds all that `per_minute` allows.


def first_open(place: tuple, start: int, now: int, is_full: Callable[[int], bool]) -> int | None:
    """The first permitted instant in the minutes from `start` on that is not full."""
    t = first_permitted(place, start, now)
    while t is not None and is_full(t):
        t = first_permitted(place, t // MINUTE * MINUTE + MINUTE, now)
    return t


@lru_cache(100_000)
def hours_by_weight(zone: str, weights: tuple, now: int, horizon: int) -> list[datetime]:
    """The local hours around [now, now + horizon), those of highest weight first, of equals the earliest."""
    here = local_time(now, zone).replace(tzinfo=None, minute=0, second=0)
    hours = [here + timedelta(hours=h) for h in range(-25, horizon // HOUR + 26)]
    return sorted(hours, key=lambda h: (-weights[h.hour], h))


@lru_cache(100_000)
def minutes_in(place: tuple, hour: datetime, now: int, horizon: int) -> list[int]:
    """The permitted minutes of a local hour in [now, now + horizon)."""
    minutes = {m for m in wall_minutes(place[0], hour) if now // MINUTE * MINUTE <= m < now + horizon}
    return sorted(m for m in minutes if permitted(place, max(m, now)))


@lru_cache(100_000)
def spread(recipient_id: str, campaign_id: str) -> int:
    mask = 2**64 - 1
    x = xxhash.xxh3_64_intdigest(recipient_id.encode()) ^ xxhash.xxh3_64_intdigest(campaign_id.encode())
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
    return x ^ x >> 31


def send_time(place: tuple, urgency: str, weights: tuple, seed: int, now: int, is_full: Callable) -> int | None:
    """The instant for one channel, None where no minute is permitted."""
    if urgency == "high":
        return first_open(place, now // MINUTE * MINUTE, now, is_full)
    horizon = 24 * HOUR if urgency == "normal" else 72 * HOUR
    for hour in hours_by_weight(place[0], weights, now, horizon):
        # Open: a minute that the hash points at and is full gives way to the next of the hour, the last to the first.
        minutes = minutes_in(place, hour, now, horizon)
        turned = [minutes[(seed + i) % len(minutes)] for i in range(len(minutes))]
        if (found := next((m for m in turned if not is_full(m)), None)) is not None:
            return max(found, now)
    return first_open(place, -(-(now + horizon) // MINUTE) * MINUTE, now, is_full)


# ---- step 2: caps and gaps, over the counted (instant, channel) of one recipient --------------------------


def breaks_cap(instants: list[int], t: int, cap: int, span: int) -> bool:
    """Whether `t` makes cap + 1 instants that lie within one half-open span."""
    times = sorted([*instants, t])
    runs = ((times[i], times[i + cap]) for i in range(len(times) - cap))
    return any(first <= t <= last and last - first < span for first, last in runs)


def broken_rules(counted: list, t: int, channel: str, caps: tuple[int, int], gap: int) -> set[str]:
    """Which of the three rules a message at `t` on `channel` would break."""
    near = [x for x, _ in counted if abs(x - t) < WEEK]
    rules = {
        "daily_cap": breaks_cap(near, t, caps[0], DAY),
        "weekly_cap": breaks_cap(near, t, caps[1], WEEK),
        "channel_gap": any(c == channel and abs(x - t) < gap for x, c in counted),
    }
    return {name for name, broken in rules.items() if broken}


def next_eligible(counted: list, channels: list, caps: tuple[int, int], gaps: dict, now: int) -> int | None:
    """The first instant in [now, now + 14 days] free on some channel: now, or the end of some span."""
    ends = {x + span for x, _ in counted for span in (DAY, WEEK, *gaps.values())} | {now}
    for t in sorted(t for t in ends if now <= t <= now + 14 * DAY):
        if any(not broken_rules(counted, t, c, caps, gaps[c]) for c in channels):
            return t
    return None


def deferred(place: tuple, counted: list, channel: str, rules: tuple, refused: int, now: int, is_full: Callable):
    """The first permitted minute after `refused`, to now + 7 days, that keeps the `rules`, caps and gap.

    It is the first permitted one after `refused` or after the end of some span: what is refused stays so up to one.
    Open: the very minute of a `send_at` is over; a minute that begins at now + 7 days still counts.
    """
    ends = {x + span for x, _ in counted for span in (DAY, WEEK, rules[1])} | {refused + 1}
    starts = {-(-end // MINUTE) * MINUTE for end in ends if refused < end}
    minutes = {first_open(place, start, now, is_full) for start in starts if start <= now + WEEK}
    minutes = {t for t in minutes if t is not None and t <= now + WEEK}
    return min((t for t in minutes if not broken_rules(counted, t, channel, *rules)), default=None)


def most_around(counted: list, now: int, span: int) -> int:
    """The most instants that one span holding `now` has."""
    times = [x for x, _ in counted if abs(x - now) < span]
    return max(sum(start <= x < start + span for x in times) for start in [now, *times] if start <= now)


# ---- recipients: what is wrong with one -------------------------------------------------------------------


def is_id(value: object) -> bool:
    text = value if isinstance(value, str) else ""
    return 1 <= len(text.encode()) <= 128 and not any(unicodedata.category(c) == "Cc" for c in text)


def usable(channel: str, address: str) -> bool:
    if not address or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in address):
        return False
    if channel in ("sms", "whatsapp"):
        return re.fullmatch(r"\+[1-9][0-9]{6,14}", address) is not None
    return channel != "email" or re.fullmatch(r"[^@\s]+@[^@\s]+", address) is not None


def confidence_of(margin: int) -> float:
    """Of a score over the best of the others, in units of 1e-9: to four decimals, a half upwards, exactly."""
    share = Decimal(10**9 + min(max(margin, -(10**9)), 10**9)) / (2 * 10**9)
    return float(share.quantize(Decimal("0.0001"), ROUND_HALF_UP))


def is_list_of(value: object, words: tuple) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and v in words for v in value)


def is_span(value: object) -> bool:
    times = value.values() if isinstance(value, dict) and value.keys() == {"start", "end"} else [""]
    return all(isinstance(t, str) and re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", t) for t in times)


def is_table(value: object, rules: dict) -> bool:
    return isinstance(value, dict) and all(k in rules and rules[k](value[k]) for k in value)


PREFERENCES = {
    "channels": lambda v: is_list_of(v, CHANNELS),
    "opt_out": lambda v: is_list_of(v, (*CHANNELS, "all")),
    "quiet_hours": is_span,
}
FIELDS = {
    "id": is_id,
    "customer_type": lambda v: is_list_of([v], ("new", "existing")),
    "device": lambda v: is_list_of([v], ("mobile", "desktop", "tablet", "unknown")),
    "timezone": lambda v: isinstance(v, str) and v in ZONES,
    "contacts": lambda v: is_table(v, dict.fromkeys(CHANNELS, lambda address: isinstance(address, str))),
    "preferences": lambda v: is_table(v, PREFERENCES),
}


def faults(recipient: object) -> list[str]:
    """The paths of what is wrong in a recipient; a valid one has none."""
    if not isinstance(recipient, dict):
        return [""]
    wrong = [f"/{name}" for name in recipient if name not in FIELDS or not FIELDS[name](recipient[name])]
    return wrong if "id" in recipient else [*wrong, "/id"]
