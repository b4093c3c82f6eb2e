"""A shard that dies: its recipients are unavailable meanwhile, it comes back by itself, and no money is spent twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray
from ray._private.state import actors

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from engine.errors import ShardUnavailable
from engine.router import Router
from tests.actors.requests import make_recipient, put, send, send_batch

VICTIM = 2
PRICE = 1_000


def process_of(cluster: Cluster, shard: int) -> int:
    return int(actors(cluster.shards[shard]._actor_id.hex())["Pid"])


@contextmanager
def dying(cluster: Cluster, shard: int) -> Iterator[None]:
    """The shard takes calls and answers none; afterwards it is dead."""
    process = process_of(cluster, shard)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)


async def until_ready(outreach: AsyncOutreach) -> None:
    while not all((await outreach.ready()).values()):
        pass


def people_of(cluster: Cluster, name: str, count: int) -> tuple[list[str], list[str]]:
    """Ids of recipients on the victim, and on other shards."""
    router = Router(len(cluster.shards))
    ids = [f"{name}-{index}" for index in range(count)]
    on_victim = [one for one in ids if router.shard_of_recipient(one) == VICTIM]
    return on_victim, [one for one in ids if one not in on_victim]


async def test_its_recipients_are_unavailable_and_then_it_answers_again(
    outreach: AsyncOutreach, cluster: Cluster
) -> None:
    await put(outreach, "mortal", urgency="high")
    theirs, others = people_of(cluster, "mortal", 80)
    single = others.pop()
    recipients = [make_recipient(recipient_id) for recipient_id in theirs + others]
    with dying(cluster, VICTIM):
        batch = asyncio.create_task(send_batch(outreach, "mortal", recipients))
        one = asyncio.create_task(send(outreach, "mortal", recipients[0]))
        await send(outreach, "mortal", make_recipient(single))
    answer = await batch
    assert answer["counts"] == {
        "scheduled": len(others), "blocked": 0, "invalid": 0, "unavailable": len(theirs)
    }  # fmt: skip
    assert {row["recipient_id"] for row in answer["results"] if row["status"] == "unavailable"} == set(theirs)
    with pytest.raises(ShardUnavailable):
        await one
    await until_ready(outreach)
    assert (await send_batch(outreach, "mortal", recipients))["counts"]["scheduled"] == len(theirs)


async def test_a_budget_is_never_overspent_by_shards_that_die(outreach: AsyncOutreach, cluster: Cluster) -> None:
    affordable = 600
    await put(
        outreach, "ruin", urgency="high", costs={"email": "0.001"}, budget={"total": f"0.{affordable * PRICE:06}"}
    )
    statuses: Counter[str] = Counter()
    for wave in range(3):
        recipients = [make_recipient(f"ruin-{wave}-{index}", "email") for index in range(200)]
        batches = [asyncio.create_task(send_batch(outreach, "ruin", recipients[part::8])) for part in range(8)]
        await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)
        ray.kill(cluster.shards[VICTIM], no_restart=False)
        for batch in batches:
            statuses.update(row["reason"] or row["status"] for row in (await batch)["results"])
        await until_ready(outreach)
    assert statuses["scheduled"] <= affordable
    recipients = [make_recipient(f"ruin-last-{index}", "email") for index in range(900)]
    last = await send_batch(outreach, "ruin", recipients)
    while last["counts"].get("unavailable"):  # on a slow machine
        last = await send_batch(outreach, "ruin", recipients)
    assert last["reasons"]["over_budget"] > 0
    # Nothing is lost with a life: the last cent is spent, and not one more.
    assert (await outreach.status("ruin"))["budget"]["committed"] == f"0.{affordable // 10}"
    assert await cluster.ledger.audit.remote() == []


async def test_ready_tells_which_shard_does_not_answer(outreach: AsyncOutreach, cluster: Cluster) -> None:
    with dying(cluster, VICTIM):
        ready = asyncio.create_task(outreach.ready())
        await put_nothing(outreach)
    assert await ready == {shard: shard != VICTIM for shard in range(len(cluster.shards))}
    await until_ready(outreach)


async def put_nothing(outreach: AsyncOutreach) -> None:
    """Lets the calls before it go out."""
    await outreach.list_campaigns()
