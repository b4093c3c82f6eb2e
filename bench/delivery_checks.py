"""Brute force over what landed: that it is what was decided, once, in its hour, and nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench.answers import Conversion, Outcome, dollars
from bench.checks import Campaigns
from bench.journey import HOUR
from bench.landings import Arrival


def check_landed(attempts: Iterable[Outcome], arrivals: Sequence[Arrival], refusals: Mapping[int, int]) -> list[str]:
    """Every attempt landed once, for the person and the instant decided and within the hour from it, or its mail was
    refused once; nothing else landed or was refused. Of mail that is refused only the household is known.
    """
    refused = Counter(refusals)
    due: Counter[tuple[object, ...]] = Counter()
    for one in attempts:
        if one.channel == "email" and refused[one.household] > 0:
            refused[one.household] -= 1
        else:
            due[one.message_id, one.channel, one.household, one.at] += 1
    came: Counter[tuple[object, ...]] = Counter(arrival[:4] for arrival in arrivals)
    faults = [f"{key} was due {due[key]} times, landed {came[key]}" for key in {**due, **came} if due[key] != came[key]]
    faults += [f"household {one} was refused mail {count} times too often" for one, count in refused.items() if count]
    faults += [
        f"{one.message_id} of {one.at} was found on {one.channel} at {one.found_at}"
        for one in arrivals
        if not one.at <= one.found_at < one.at + HOUR
    ]
    return faults


def check_states(standing: Iterable[Outcome], converted: Iterable[Conversion], statuses: Campaigns) -> list[str]:
    """Once nothing waits, `/status` counts each message as sent or as what it ended as, and what was sent as spent."""
    states: defaultdict[str, Counter[str]] = defaultdict(Counter)
    spent: Counter[str] = Counter()
    delivered = {message_id for _, message_id, _ in converted}
    for one in standing:
        if one.at is not None:
            states[one.campaign]["delivered" if one.message_id in delivered else "sent"] += 1
            spent[one.campaign] += one.cost
        else:
            states[one.campaign][one.status] += 1
    faults = []
    for name, status in statuses.items():
        told: Counter[str] = Counter(status["messages"])
        if told != states[name]:
            faults.append(f"{name}: status says {dict(+told)}, it was {dict(states[name])}")
        if (told_spent := status["budget"]["spent"]) != dollars(spent[name]):
            faults.append(f"{name}: status says {told_spent} was spent, it was {dollars(spent[name])}")
    return faults
