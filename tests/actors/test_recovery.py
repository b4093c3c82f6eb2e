"""A shard that is killed knows, in its next life, all that it answered: decisions, keys, events, stops, money."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest
from ray._private.state import actors

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.keyed import Key
from engine.errors import MadanSaraError, ShardUnavailable
from engine.event import Event
from tests.actors.requests import make_recipient, put, send, send_batch
from tests.actors.test_shard_death import VICTIM, people_of, until_ready

SCARCE = {"costs": {"email": "0.001", "sms": "0.001"}, "budget": {"total": "0.03"}}


async def kill(cluster: Cluster, outreach: AsyncOutreach) -> None:
    os.kill(int(actors(cluster.shards[VICTIM]._actor_id.hex())["Pid"]), signal.SIGKILL)
    while (await outreach.ready())[VICTIM]:
        pass
    await until_ready(outreach)


def body_of(campaign_id: str, ids: list[str]) -> bytes:
    return msgspec.json.encode({"campaign_id": campaign_id, "recipients": [make_recipient(one) for one in ids]})


async def test_all_that_was_answered_is_known(outreach: AsyncOutreach, cluster: Cluster) -> None:
    await put(outreach, "lasting", urgency="high", limits={"per_minute": 7}, **SCARCE)
    theirs, _ = people_of(cluster, "lasting", 160)
    key = Key("lasting-1", "/api/v1/outreach/send-batch")
    first = await outreach.keyed.send_batch_body(key, body_of("lasting", theirs))
    results = msgspec.json.decode(first.body)["results"]
    scheduled = [row for row in results if row["status"] == "scheduled"]
    assert 0 < len(scheduled) < len(theirs), "the budget ends among them"
    stopped, erased, clicked, cancelled = scheduled[:4]
    await outreach.suppress(stopped["recipient_id"], "all", None, "asked")
    await outreach.erase(erased["recipient_id"])
    event = Event(id="lasting-e", type="clicked", message_id=clicked["message_id"])
    assert await outreach.events([event]) == [{"id": "lasting-e", "status": "applied"}]
    await outreach.cancel(cancelled["message_id"])
    before = await told(outreach, cluster, scheduled)

    await kill(cluster, outreach)

    assert await told(outreach, cluster, scheduled) == before
    assert await outreach.events([event]) == [{"id": "lasting-e", "status": "seen"}]
    with pytest.raises(MadanSaraError, match="erased"):
        await outreach.keyed.send_batch_body(key, body_of("lasting", theirs))
    again = await send(outreach, "lasting", make_recipient(clicked["recipient_id"]))
    assert (again["status"], again["reason"]) == ("blocked", "duplicate")
    assert await cluster.ledger.audit.remote() == []


async def told(outreach: AsyncOutreach, cluster: Cluster, scheduled: list[dict[str, Any]]) -> Any:
    """What users are shown of these messages and their people, and the state's hash."""
    messages = [await outreach.message(row["message_id"]) for row in scheduled]
    people = [await outreach.recipient(row["recipient_id"]) for row in scheduled]
    return messages, people, await outreach.status("lasting"), await cluster.shards[VICTIM].state_hash.remote()


async def test_a_keyed_answer_is_given_again(outreach: AsyncOutreach, cluster: Cluster) -> None:
    await put(outreach, "kept", urgency="high")
    theirs, others = people_of(cluster, "kept", 40)
    key = Key("kept-1", "/api/v1/outreach/send-batch")
    body = body_of("kept", theirs + others)
    first = await outreach.keyed.send_batch_body(key, body)
    await kill(cluster, outreach)
    again = await outreach.keyed.send_batch_body(key, body)
    assert (again.body, again.replayed, first.replayed) == (first.body, True, False)


async def test_what_is_killed_in_the_middle_is_all_there_or_not_at_all(
    outreach: AsyncOutreach, cluster: Cluster
) -> None:
    """Clients that repeat with their keys end with one decision each, in the budget."""
    await put(outreach, "middle", urgency="high", costs={"email": "0.001", "sms": "0.001"}, budget={"total": "0.1"})
    theirs, others = people_of(cluster, "middle", 400)
    people = theirs + others
    bodies = [body_of("middle", people[part::8]) for part in range(8)]

    async def decide(part: int) -> list[dict[str, Any]]:
        key = Key(f"middle-{part}", "/api/v1/outreach/send-batch")
        while True:
            try:
                answer = msgspec.json.decode((await outreach.keyed.send_batch_body(key, bodies[part])).body)
            except ShardUnavailable:
                continue
            if not answer["counts"].get("unavailable"):
                return list(answer["results"])

    deciding = [asyncio.create_task(decide(part)) for part in range(8)]
    for _ in range(2):
        await kill(cluster, outreach)
    results = [row for decided in await asyncio.gather(*deciding) for row in decided]
    scheduled = [row for row in results if row["status"] == "scheduled"]
    assert len(scheduled) == 100
    assert len({row["message_id"] for row in scheduled}) == 100
    for row in scheduled:
        shown = await outreach.message(row["message_id"])
        assert shown is not None
        assert (shown["recipient_id"], shown["scheduled_at"]) == (row["recipient_id"], row["scheduled_at"])
    status = await outreach.status("middle")
    assert (status["messages"]["scheduled"], status["budget"]["committed"]) == (100, "0.10")
    assert await cluster.ledger.audit.remote() == []
    while (last := await send_batch(outreach, "middle", [make_recipient("middle-new")]))["counts"].get("unavailable"):
        pass  # on a slow machine
    assert last["reasons"] == {"over_budget": 1}
