"""Money is exact: with demand for ten times as much, what can be paid is scheduled, to the last message."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from tests.actors.requests import make_recipient, put, send_from_clients

CLIENTS = 16
COST = 7_500
COSTS = {"sms": "0.0075"}


def money(messages: int) -> str:
    return f"0.{messages * COST:06}"


LIMITS: dict[str, tuple[str, Any]] = {
    "total": ("over_budget", lambda k: {"budget": {"total": money(k)}}),
    "daily": ("over_budget", lambda k: {"budget": {"daily": money(k)}}),
    "per-channel": ("over_budget", lambda k: {"budget": {"per_channel": {"sms": money(k)}}}),
    "daily-messages": ("daily_limit", lambda k: {"limits": {"daily_messages": k}}),
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_exactly_what_can_be_paid_is_scheduled(outreach: AsyncOutreach, cluster: Cluster, limit: str) -> None:
    reason, limits_of = LIMITS[limit]
    for k in range(51):
        campaign_id = f"exact-{limit}-{k}"
        # High urgency and no quiet hours: all messages are for the same day.
        await put(outreach, campaign_id, urgency="high", costs=COSTS, **limits_of(k))
        people = [
            {
                **make_recipient(f"{campaign_id}-{index}", "sms"),
                "preferences": {"quiet_hours": {"start": "00:00", "end": "00:00"}},
            }
            for index in range(10 * k + 3)
        ]
        outcomes = await send_from_clients(outreach, campaign_id, people, CLIENTS)
        assert outcomes == Counter({"scheduled": k, reason: 9 * k + 3})
        committed = (await outreach.status(campaign_id))["budget"]["committed"]
        assert float(committed) == pytest.approx(k * COST / 1e6)
    assert await cluster.ledger.audit.remote() == []


async def test_money_that_comes_back_is_spent_on_any_shard(outreach: AsyncOutreach) -> None:
    await put(outreach, "given-back", urgency="high", costs=COSTS, budget={"total": money(8)})
    people = [make_recipient(f"given-back-{index}", "sms") for index in range(200)]
    assert (await send_from_clients(outreach, "given-back", people, CLIENTS))["scheduled"] == 8
    again = [make_recipient(f"given-back-too-{index}", "sms") for index in range(200)]
    assert (await send_from_clients(outreach, "given-back", again, CLIENTS))["scheduled"] == 0
    known = [await outreach.recipient(person["id"]) or {} for person in people]
    waiting = [message for one in known for message in one["messages"]]
    assert len(waiting) == 8
    await outreach.suppress(waiting[0]["recipient_id"], "all", None, None)
    await outreach.cancel(waiting[1]["message_id"])
    await outreach.cancel(waiting[2]["message_id"])
    assert (await send_from_clients(outreach, "given-back", again, CLIENTS)) == Counter(scheduled=3, over_budget=197)


async def test_the_same_person_from_many_senders_at_once_gets_one_message(outreach: AsyncOutreach) -> None:
    await put(outreach, "once", urgency="high")
    person = make_recipient("once-and-only")
    outcomes = await send_from_clients(outreach, "once", [person] * 64, CLIENTS)
    assert outcomes == Counter(scheduled=1, duplicate=63)


async def test_a_minute_never_holds_more_and_none_is_left_open(outreach: AsyncOutreach, cluster: Cluster) -> None:
    await put(outreach, "minutes", urgency="high", limits={"per_minute": 7})
    quiet = {"preferences": {"quiet_hours": {"start": "00:00", "end": "00:00"}}}
    people = [{**make_recipient(f"minutes-{index}", "sms"), **quiet} for index in range(400)]
    assert await send_from_clients(outreach, "minutes", people, CLIENTS) == Counter(scheduled=400)
    known = [await outreach.recipient(person["id"]) or {} for person in people]
    minutes = Counter(message["scheduled_at"][:16] for one in known for message in one["messages"])
    assert sorted(minutes.values(), reverse=True) == [7] * 57 + [1]
    assert minutes[max(minutes)] == 1  # the last one: there is no gap before it
    assert await cluster.ledger.audit.remote() == []
