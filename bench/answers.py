"""The product's answers, as the replay reads and keeps them."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from bench.population import recipient_name
from bench.result import AnswersWrong

MICROS = 1_000_000
FRACTION_DIGITS = 6


class Decision(msgspec.Struct):
    """The fields of a decision that the replay uses (contract, section 5)."""

    recipient_id: str
    status: str
    message_id: str | None = None
    reason: str | None = None
    channel: str | None = None
    scheduled_at: datetime | None = None
    scheduled_local: datetime | None = None
    cost: str | None = None
    fallback_chain: list[str] | None = None


class Message(msgspec.Struct):
    """The fields of a message that the replay uses (contract, section 5)."""

    state: str
    channel: str
    scheduled_at: datetime
    cost: str
    fallback_chain: list[str]


class WrongAnswer(Exception):  # noqa: N818
    """An answer that the replay cannot go on with."""


class BatchAnswer(msgspec.Struct):
    """What `/send-batch` answers."""

    counts: dict[str, int]
    reasons: dict[str, int]
    results: list[Decision]


def check_batch(answer: BatchAnswer, first: int, size: int) -> None:
    """Raises AnswersWrong unless the `size` people from `first` on are answered once, in order, with right counts."""
    names = [recipient_name(number) for number in range(first, first + size)]
    if [decision.recipient_id for decision in answer.results] != names:
        raise AnswersWrong("a batch did not answer each person once, in order")
    scheduled = sum(decision.status == "scheduled" for decision in answer.results)
    told = answer.counts
    if (told["scheduled"], told["blocked"], told["invalid"]) != (scheduled, size - scheduled, 0):
        raise AnswersWrong(f"a batch with {scheduled} scheduled says {told}")
    if sum(answer.reasons.values()) != told["blocked"]:
        raise AnswersWrong("the reasons of a batch are not as many as its blocked")


class EventResult(msgspec.Struct):
    """What became of one event."""

    id: str
    status: str


class EventAnswer(msgspec.Struct):
    """What `/events` answers."""

    results: list[EventResult]


class Conversion(NamedTuple):
    """A redeemed coupon that the product took as an event: for which message, and worth what in micro-units."""

    campaign: str
    message_id: str
    value: int


class Outcome(NamedTuple):
    """One decision with what was asked: everything the checks and the tables need.

    `now` is the clock when it was asked, `at` the instant of the message, both in seconds since the epoch;
    `local_minute` is the minute of the day that the answer gave as local; `cost` is in micro-units; `quiet`
    the quiet hours that then held the household, as minutes of the day; `chain` the channels that are left to
    be tried. `at`, `local_minute` and `channel` are None and `cost` is 0 where nothing was scheduled.
    """

    household: int
    campaign: str
    dedup_key: str
    now: int
    status: str
    reason: str | None
    channel: str | None
    at: int | None
    local_minute: int | None
    cost: int
    quiet: tuple[int, int]
    message_id: str | None = None
    chain: tuple[str, ...] = ()

    @classmethod
    def of(cls, decision: Decision, household: int, campaign: str, dedup_key: str, now: int) -> Outcome:
        """Without what is local to the household, and without what delivery is followed by."""
        return cls(
            household=household,
            campaign=campaign,
            dedup_key=dedup_key,
            now=now,
            status=decision.status,
            reason=decision.reason,
            channel=decision.channel,
            at=int(decision.scheduled_at.timestamp()) if decision.scheduled_at is not None else None,
            local_minute=None,
            cost=micros(decision.cost) if decision.cost is not None else 0,
            quiet=(0, 0),
        )


@lru_cache(maxsize=1024)
def micros(money: str) -> int:
    """A decimal string as micro-units, exactly."""
    whole, _, fraction = money.partition(".")
    return int(whole) * MICROS + int(fraction.ljust(FRACTION_DIGITS, "0") or "0")


def dollars(amount: int) -> str:
    """Micro-units as a decimal string with two to six digits, as the contract writes money."""
    whole, fraction = divmod(amount, MICROS)
    digits = f"{fraction:0{FRACTION_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"
