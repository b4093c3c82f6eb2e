"""Dry runs on a cluster: they spend nothing and hinder nobody, whatever is sent beside them."""

from __future__ import annotations

import asyncio
from collections import Counter

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from tests.actors.requests import make_recipient, put, send, send_batch, send_from_clients

COST = 7_500
CLIENTS = 8


async def hashes(cluster: Cluster) -> list[str]:
    return list(await asyncio.gather(*(shard.state_hash.remote() for shard in cluster.shards)))


async def test_dry_runs_beside_real_sends_spend_nothing(outreach: AsyncOutreach, cluster: Cluster) -> None:
    k = 40
    await put(outreach, "dry", urgency="high", costs={"sms": "0.0075"}, budget={"total": f"0.{k * COST:06}"})
    people = [make_recipient(f"dry-{index}", "sms") for index in range(5 * k)]
    rehearsed: Counter[str] = Counter()
    done = asyncio.Event()

    async def rehearse(number: int) -> None:
        while not done.is_set():
            if number % 2:
                answers = (await send_batch(outreach, "dry", people[number::3], dry_run=True))["results"]
            else:
                answers = [await send(outreach, "dry", people[number], dry_run=True)]
            assert all(answer["message_id"] is None for answer in answers)
            rehearsed.update(answer["status"] for answer in answers)

    beside = [asyncio.create_task(rehearse(number)) for number in range(6)]
    outcomes = await send_from_clients(outreach, "dry", people, CLIENTS)
    done.set()
    await asyncio.gather(*beside)
    assert outcomes == Counter(scheduled=k, over_budget=4 * k)
    assert rehearsed["scheduled"] + rehearsed["blocked"] > 0
    assert rehearsed["unavailable"] == 0
    status = await outreach.status("dry")
    assert (status["messages"]["scheduled"], status["budget"]["remaining"]) == (k, "0.00")
    assert status["blocked"] == {"over_budget": 4 * k} | {r: n for r, n in status["blocked"].items() if not n}
    assert await cluster.ledger.audit.remote() == []


async def test_a_dry_run_over_all_shards_promises_what_there_is_and_changes_nothing(
    outreach: AsyncOutreach, cluster: Cluster
) -> None:
    await put(outreach, "dry-exact", urgency="high", costs={"sms": "0.0075"}, limits={"daily_messages": 11})
    quiet = {"preferences": {"quiet_hours": {"start": "00:00", "end": "00:00"}}}
    people = [make_recipient(f"dry-exact-{index}", "sms") | quiet for index in range(60)]
    before = await hashes(cluster)
    for _ in range(5):
        rehearsed = await send_batch(outreach, "dry-exact", people, dry_run=True)
        assert (rehearsed["batch_id"], rehearsed["counts"]["scheduled"]) == (None, 11)
        assert rehearsed["reasons"] == {"daily_limit": 49}
    (explained,) = (await send_batch(outreach, "dry-exact", people[:1], dry_run=True, explain=True))["results"]
    limit = explained["explanation"]["checks"][-1]
    assert (limit["step"], limit["limit"], limit["read"]["sms"]["left"] > 0) == ("daily_limit", 11, True)
    assert await hashes(cluster) == before
    assert await outreach.recipient("dry-exact-0") is None
    assert await send_from_clients(outreach, "dry-exact", people, CLIENTS) == Counter(scheduled=11, daily_limit=49)
    assert await hashes(cluster) != before
    assert await cluster.ledger.audit.remote() == []
