"""A month of random campaigns over 300 people: no span holds too many, counted from the answers alone.

Nothing here asks the engine or the model what a cap is. Cancelled messages have no instant and are left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from engine import Engine
from tests.strategies import BY_DAY, ZONES, Choices, Dice, make_instant, make_recipient, rfc3339, some

CHANNELS = ("email", "sms", "whatsapp", "instagram", "facebook", "linkedin", "twitter")
HOUR, DAY, WEEK = 3600, 86400, 7 * 86400
FIRST_OF_MARCH = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())  # the clocks of many zones change in it
PEOPLE, CAMPAIGNS, MONTH = 300, 16, 31 * DAY


def contacts_of(number: int) -> dict:
    phone, handle = f"+1555{number:07}", f"person{number}"
    addresses = {"email": f"{handle}@example.com", "sms": phone, "whatsapp": phone}
    return addresses | dict.fromkeys(CHANNELS[3:], handle)


def campaign(dice: Choices, number: int, category: str) -> dict:
    """Random in all but the caps, which are the default ones."""
    body: dict = {"id": f"c-{number}", "category": category, "timezone": dice.pick(ZONES)}
    body["urgency"] = dice.pick(("low", "normal", "high"))
    body["limits"] = {"lookback_hours": dice.pick((0, 0, 1, 6))}
    if dice.chance(30):
        body["send_window"] = BY_DAY
    if dice.chance(40):
        body["channels"] = {"priority": {c: dice.integer(1, 3) for c in some(dice, CHANNELS, 50)}}
    if dice.chance(30):
        body["budget"] = {"currency": "USD", "daily": "2.00"}
    return body


def options(dice: Choices, now: int) -> dict:
    """Now and then a day chosen by the user, or a few channels only."""
    chosen: dict = {}
    if dice.chance(20):
        chosen["send_at"] = make_instant(dice, now + dice.integer(0, 5 * DAY))
    if dice.chance(30):
        chosen["channels"] = some(dice, CHANNELS, 30) or ["sms"]
    if dice.chance(10):
        chosen["urgency"] = dice.pick(("low", "high"))
    return chosen


def most_in_a_span(instants: list[int], span: int) -> int:
    """The most instants in any [t, t + span); such a span may begin at one of them."""
    times = sorted(instants)
    return max((bisect_left(times, t + span) - i for i, t in enumerate(times)), default=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_span_of_a_simulated_month_holds_too_many(seed: int) -> None:
    dice, engine, now = Dice(seed), Engine(), FIRST_OF_MARCH
    transactional = {f"c-{number}": number % 8 == 7 for number in range(CAMPAIGNS)}
    for number, other in enumerate(transactional.values()):
        engine.put_campaign(campaign(dice, number, "transactional" if other else "marketing"))
    people = [f"p-{number}" for number in range(PEOPLE)]
    answers: list[tuple[str, dict]] = []
    while now < FIRST_OF_MARCH + MONTH:
        chosen = [number for number in range(PEOPLE) if dice.chance(25)]
        recipients = [make_recipient(dice, people[number], 10) | {"contacts": contacts_of(number)} for number in chosen]
        campaign_id = f"c-{dice.integer(0, CAMPAIGNS - 1)}"
        body = {"campaign_id": campaign_id, "recipients": recipients} | options(dice, now)
        answers += [(campaign_id, answer) for answer in engine.send_batch(body, now)["results"]]
        if dice.chance(10):  # cancels what waits there
            engine.suppress(dice.pick(people), dice.pick(CHANNELS), now + DAY, None, now)
        now += dice.integer(0, 4 * HOUR)

    instants: dict[str, list[int]] = defaultdict(list)
    by_channel: dict[tuple[str, str], list[int]] = defaultdict(list)
    for campaign_id, answer in answers:
        if answer["status"] != "scheduled" or transactional[campaign_id]:
            continue
        if engine.message(answer["message_id"])["state"] == "cancelled":
            continue
        at = int(datetime.fromisoformat(answer["scheduled_at"]).timestamp())
        instants[answer["recipient_id"]].append(at)
        by_channel[answer["recipient_id"], answer["channel"]].append(at)

    total = sum(map(len, instants.values()))
    print(f"{len(answers)} answers, {total} messages, until {rfc3339(now)}")
    assert total > 15 * PEOPLE  # busy enough for the caps to matter: full weeks of ten would be 44 each
    busiest_day = {who: most_in_a_span(times, DAY) for who, times in instants.items()}
    busiest_week = {who: most_in_a_span(times, WEEK) for who, times in instants.items()}
    assert (max(busiest_day.values()), max(busiest_week.values())) == (3, 10)
    sorted_times = map(sorted, by_channel.values())
    closest = min(later - earlier for times in sorted_times for earlier, later in pairwise(times))
    assert closest >= 4 * HOUR
