"""Uniform costs on several shards: how many get the last money and places is exact, counted without any model.

Every message costs the same, goes at once and is on one channel, so what can be paid is a division.
"""

from __future__ import annotations

import pytest

from engine import Engine
from tests.reference_rules import DAY, HOUR, instant
from tests.strategies import Dice, rfc3339

COST = 7_500
NOON = instant("2026-03-28T12:00:00Z")  # clocks of the campaign's zone go forward in the night
ZONE = "Europe/London"


class Purse:
    """What is left, in messages, of each limit."""

    def __init__(self) -> None:
        self.limits: dict[str, int | None] = {}
        self.by_day: dict[int, list[str]] = {}  # ids of messages that hold a place, by local day

    @property
    def total(self) -> int:
        return sum(map(len, self.by_day.values()))

    def money(self, day: int) -> int:
        used = {"total": self.total, "sms": self.total, "daily": len(self.by_day.get(day, ()))}
        return min(max(0, limit - used[name]) for name, limit in self.limits.items() if name in used)

    def places(self, day: int) -> int:
        return max(0, self.limits["daily_messages"] - len(self.by_day.get(day, ())))

    def outcome(self, day: int, demand: int) -> dict[str, int]:
        """How many are scheduled, and why the others are not: money is asked first."""
        scheduled = min(demand, self.money(day), self.places(day))
        reason = "over_budget" if self.money(day) == scheduled else "daily_limit"
        return {name: count for name, count in (("scheduled", scheduled), (reason, demand - scheduled)) if count}


def campaign(limits: dict[str, int]) -> dict:
    def amount(messages: int) -> str:
        return f"{messages * COST / 1_000_000:.6f}"

    budget = {"total": amount(limits["total"]), "daily": amount(limits["daily"])}
    return {
        "id": "c",
        "category": "transactional",  # neither caps nor windows: money alone decides
        "timezone": ZONE,
        "budget": budget | {"per_channel": {"sms": amount(limits["sms"])}},
        "costs": {"sms": "0.0075"},
        "limits": {"daily_messages": limits["daily_messages"], "lookback_hours": 0},
    }


@pytest.mark.parametrize("shards", [1, 3, 7])
@pytest.mark.parametrize("seed", range(6))
def test_how_many_are_scheduled_is_exact(shards: int, seed: int) -> None:
    dice, engine, purse, now = Dice(seed), Engine(shards=shards), Purse(), NOON
    seen: dict[str, int] = {}
    for step in range(60):
        kind = dice.integer(0, 9) if step else 0
        day = (now + (HOUR if now >= instant("2026-03-29T01:00:00Z") else 0)) // DAY
        if kind == 0:  # limits go up and down, also below what is committed
            purse.limits = {"total": dice.integer(0, 400), "sms": dice.integer(0, 400), "daily": dice.integer(0, 150)}
            purse.limits["daily_messages"] = dice.integer(0, 150)
            engine.put_campaign(campaign(purse.limits))
        elif kind <= 6:
            demand = dice.integer(1, 80)
            people = [{"id": f"r-{seed}-{step}-{i}", "contacts": {"sms": "+15550100"}} for i in range(demand)]
            body = {"campaign_id": "c", "recipients": people, "channels": ["sms"]}
            wanted = purse.outcome(day, demand)
            answer = engine.send_batch(body, now)
            given = {"scheduled": answer["counts"]["scheduled"]} | answer["reasons"]
            assert {name: count for name, count in given.items() if count} == wanted, (step, rfc3339(now))
            made = [decision["message_id"] for decision in answer["results"] if decision["message_id"]]
            purse.by_day.setdefault(day, []).extend(made)
            for name, count in wanted.items():
                seen[name] = seen.get(name, 0) + count
        elif kind <= 8:  # some are cancelled or fail: their money and places are free again at once
            for messages in purse.by_day.values():
                for message in [one for one in messages if dice.chance(20)]:
                    messages.remove(message)
                    if dice.chance(50):
                        engine.cancel(message)
                    else:
                        event = {"id": f"failed {message}", "type": "failed", "message_id": message}
                        assert engine.events({"events": [event]}, now)["results"][0]["status"] == "applied"
        else:
            now += dice.integer(0, 20) * HOUR
        assert engine.ledger.audit() == []
    assert engine.status("c", now)["messages"]["scheduled"] == purse.total
    assert "scheduled" in seen
    assert len(seen) > 1
