"""The checks of what landed see each breach that they exist for, and nothing else."""

from typing import Any

import pytest

from bench import delivery_checks as checks
from bench.answers import Conversion, Outcome
from bench.landings import Arrival

NOON = 1_500_048_000  # 2017-07-14, noon in New York
HOUR = 3600
DEAD = 44

WHOLE = Outcome(
    household=1, campaign="spring", dedup_key="launch", now=NOON - HOUR, status="scheduled", reason=None,
    channel="email", at=NOON, local_minute=720, cost=2_000, quiet=(1260, 480), message_id="m-1", chain=("sms",),
)  # fmt: skip
LOST = WHOLE._replace(household=DEAD, message_id="m-2")
BY_TEXT = LOST._replace(now=NOON + 10, channel="sms", at=NOON + HOUR, cost=7_900, chain=())
LOST_TOO = LOST._replace(message_id="m-3", chain=())
ATTEMPTS = [WHOLE, LOST, LOST_TOO, BY_TEXT]
STANDING = [
    WHOLE, BY_TEXT, LOST_TOO._replace(status="failed", at=None),
    LOST._replace(message_id="m-4", status="cancelled", at=None),
]  # fmt: skip


def landed(attempt: Outcome, late_s: int = 10, **changes: Any) -> Arrival:
    assert attempt.at is not None
    arrival = Arrival(str(attempt.message_id), str(attempt.channel), attempt.household, attempt.at, attempt.at + late_s)
    return arrival._replace(**changes)


ARRIVALS = [landed(one) for one in ATTEMPTS]
WITHOUT_LOST = [landed(WHOLE), landed(BY_TEXT)]
REFUSALS = {DEAD: 2}


def test_a_good_run_passes_with_bounces_and_with_refusals() -> None:
    assert checks.check_landed(ATTEMPTS, ARRIVALS, {}) == []
    assert checks.check_landed(ATTEMPTS, WITHOUT_LOST, REFUSALS) == []


@pytest.mark.parametrize(
    ("arrivals", "refusals"),
    [
        (ARRIVALS[1:], {}),
        ([*ARRIVALS, ARRIVALS[0]], {}),
        ([*ARRIVALS, landed(WHOLE, message_id="m-9")], {}),
        ([landed(WHOLE, at=NOON + 60, found_at=NOON + 70), *ARRIVALS[1:]], {}),
        ([landed(WHOLE, channel="sms"), *ARRIVALS[1:]], {}),
        ([landed(WHOLE, household=2), *ARRIVALS[1:]], {}),
        (WITHOUT_LOST, {DEAD: 1}),
        (WITHOUT_LOST, {DEAD: 3}),
        (WITHOUT_LOST, {DEAD: 2, 54: 1}),
        (WITHOUT_LOST[:1], {DEAD: 3}),
    ],
    ids=[
        "one is missing", "one comes twice", "one was not decided", "for another instant", "by another channel",
        "to another person", "one was not even refused", "refused too often", "refused to somebody else",
        "a text is no mail",
    ],
)  # fmt: skip
def test_what_does_not_land_once_is_seen(arrivals: list[Arrival], refusals: dict[int, int]) -> None:
    assert checks.check_landed(ATTEMPTS, arrivals, refusals) != []


@pytest.mark.parametrize(("late_s", "is_wrong"), [(-1, True), (0, False), (HOUR - 1, False), (HOUR, True)])
def test_the_hour_of_an_arrival_is_half_open(late_s: int, is_wrong: bool) -> None:
    assert bool(checks.check_landed([WHOLE], [landed(WHOLE, late_s)], {})) == is_wrong


def status(**changes: Any) -> dict[str, Any]:
    messages = {"scheduled": 0, "sent": 1, "delivered": 1, "failed": 1, "cancelled": 1}
    return {"messages": messages, "budget": {"spent": "0.0099"}, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": {"sent": 2, "failed": 1, "cancelled": 1}},
        {"messages": {"sent": 1, "delivered": 1, "failed": 2}},
        {"messages": {"scheduled": 1, "delivered": 1, "failed": 1, "cancelled": 1}},
        {"budget": {"spent": "0.0119"}},
    ],
)
def test_a_status_that_says_something_else_is_seen(changes: dict[str, Any]) -> None:
    converted = [Conversion("spring", "m-1", 5), Conversion("spring", "m-1", 5)]
    assert checks.check_states(STANDING, converted, {"spring": status()}) == []
    assert len(checks.check_states(STANDING, converted, {"spring": status(**changes)})) == 1
