"""Keyed requests of a cluster whose shards die, and of clients that go away half-way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.keyed import Key
from engine.errors import Conflict, RequestError, ShardUnavailable
from engine.event import Event
from engine.router import Router
from engine.scalars import Identifier
from tests.actors.requests import make_recipient, put
from tests.actors.test_shard_death import VICTIM, dying, people_of, until_ready


def key_at(cluster: Cluster, home: int, name: str, path: str = "/send-batch") -> Key:
    """A key that is at home on a shard."""
    router = Router(len(cluster.shards))
    return Key(next(key for n in range(1000) if router.home_of(key := f"{name}-{n}") == home), path)


def batch_of(campaign_id: str, ids: list[str]) -> bytes:
    return msgspec.json.encode({"campaign_id": campaign_id, "recipients": [make_recipient(one) for one in ids]})


async def test_a_batch_whose_shard_died_is_completed_when_it_comes_again(
    outreach: AsyncOutreach, cluster: Cluster
) -> None:
    await put(outreach, "halves", urgency="high")
    theirs, others = people_of(cluster, "halves", 60)
    body, key = batch_of("halves", theirs + others), key_at(cluster, VICTIM + 1, "halves")
    with dying(cluster, VICTIM):
        half = await outreach.keyed.send_batch_body(key, body)
    first = msgspec.json.decode(half.body)
    assert first["counts"] == {
        "scheduled": len(others), "blocked": 0, "invalid": 0, "unavailable": len(theirs)
    }  # fmt: skip
    assert sorted(half.decided) == [("scheduled", "email", len(others)), ("unavailable", "", len(theirs))]
    await until_ready(outreach)
    another = cluster.client()
    whole = await another.keyed.send_batch_body(key, body)
    second = msgspec.json.decode(whole.body)
    assert (whole.replayed, whole.decided) == (False, [("scheduled", "email", len(theirs))])
    assert second["counts"] == {"scheduled": 60, "blocked": 0, "invalid": 0}
    assert second["batch_id"] == first["batch_id"]
    for one, other in zip(first["results"], second["results"], strict=True):
        assert one == other or (one["status"] == "unavailable" and one["recipient_id"] in theirs)
    again = await outreach.keyed.send_batch_body(key, body)
    assert again == (whole.body, True, [])


async def test_decisions_are_kept_although_the_home_of_their_key_died(
    outreach: AsyncOutreach, cluster: Cluster
) -> None:
    await put(outreach, "homeless", urgency="high")
    _, others = people_of(cluster, "homeless", 20)
    body, key = batch_of("homeless", others), key_at(cluster, VICTIM, "homeless")
    first = await outreach.keyed.send_batch_body(key, body)
    with dying(cluster, VICTIM):
        pass
    await until_ready(outreach)
    again = await outreach.keyed.send_batch_body(key, body)
    assert again.replayed
    assert msgspec.json.decode(again.body)["results"] == msgspec.json.decode(first.body)["results"]


async def test_a_key_stays_bound_where_nobody_knows_what_happened(outreach: AsyncOutreach, cluster: Cluster) -> None:
    await put(outreach, "limbo", urgency="high")
    theirs, others = people_of(cluster, "limbo", 40)
    key = key_at(cluster, VICTIM + 1, "limbo", "/send")

    def body(recipient_id: str) -> bytes:
        return msgspec.json.encode({"campaign_id": "limbo", "recipient": make_recipient(recipient_id)})

    with dying(cluster, VICTIM), pytest.raises(ShardUnavailable):
        await outreach.keyed.send_body(key, body(theirs[0]))
    with pytest.raises(RequestError, match="another path or body"):
        await outreach.keyed.send_body(key, body(others[0]))
    await until_ready(outreach)
    sent = await outreach.keyed.send_body(key, body(theirs[0]))
    assert msgspec.json.decode(sent.body)["status"] == "scheduled"
    assert (sent.replayed, sent.decided) == (False, [("scheduled", "email", 1)])
    assert (await outreach.keyed.send_body(key, body(theirs[0]))).replayed


async def test_a_copy_waits_for_the_first_and_goes_on_if_that_goes_away(cluster: Cluster) -> None:
    first, second = cluster.client(), cluster.client()
    key, begun, done = Key("waiting", "/x"), asyncio.Event(), asyncio.Event()

    async def slow() -> bytes:
        begun.set()
        await done.wait()
        return b"first"

    async def never() -> bytes:
        raise AssertionError("the first is at it")

    one = asyncio.create_task(first.keyed.once(key, b"", 8, slow))
    await begun.wait()
    two = asyncio.create_task(second.keyed.once(key, b"", 8, never))
    with pytest.raises(RequestError):
        await second.keyed.once(key, b"other", 8, never)
    done.set()
    assert (await one, await two) == ((b"first", False), (b"first", True))

    key, begun, done = Key("leaving", "/x"), asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(first.keyed.once(key, b"", 8, slow))
    await begun.wait()
    one.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await one
    second.keyed._patience_s = 0.1

    async def work() -> bytes:
        return b"second"

    assert await second.keyed.once(key, b"", 8, work) == (b"second", False)
    assert await first.keyed.once(key, b"", 8, never) == (b"second", True)


async def test_work_that_fails_frees_its_key_unless_something_may_have_happened(outreach: AsyncOutreach) -> None:
    async def fail(error: Exception) -> bytes:
        raise error

    async def work() -> bytes:
        return b"done"

    for number, (error, frees) in enumerate(
        [(Conflict("no"), True), (ShardUnavailable("not all"), False), (ValueError("a bug"), False)]
    ):
        key = Key(f"failing-{number}", "/x")
        with pytest.raises(type(error)):
            await outreach.keyed.once(key, b"one", 8, lambda error=error: fail(error))  # type: ignore[misc]
        with contextlib.nullcontext() if frees else pytest.raises(RequestError):
            assert await outreach.keyed.once(key, b"another", 8, work) == (b"done", False)
        if not frees:
            assert await outreach.keyed.once(key, b"one", 8, work) == (b"done", False)


async def test_events_go_on_under_their_key_after_a_shard_died(outreach: AsyncOutreach, cluster: Cluster) -> None:
    """What was applied before the shard died is applied once."""
    await put(outreach, "going-on", urgency="high", conversion_value="5")
    _, others = people_of(cluster, "going-on", 8)
    sent: list[dict[str, Any]] = []
    for recipient_id in others:
        body = msgspec.json.encode({"campaign_id": "going-on", "recipient": make_recipient(recipient_id)})
        sent.append(msgspec.json.decode((await outreach.send_body(body))[0]))

    events = [
        Event(id=Identifier(f"going-on-{n}"), type="converted", message_id=Identifier(one["message_id"]))
        for n, one in enumerate(sent)
    ]
    with dying(cluster, VICTIM), pytest.raises(ShardUnavailable):
        # Some ids are at home on the victim.
        await outreach.events(
            [*events, Event(id=Identifier("x"), type="opened", message_id=Identifier(victims(cluster)))]
        )
    await until_ready(outreach)
    results = await outreach.events(events)
    assert {one["status"] for one in results} == {"applied"}
    assert (await outreach.status("going-on"))["performance"]["revenue"] == f"{5 * len(others)}.00"


def victims(cluster: Cluster) -> str:
    """A message's id that would be on the victim."""
    router = Router(len(cluster.shards))
    return next(m for n in range(1024) if router.shard_of_message(m := f"m-{n << 54 | 1:016x}") == VICTIM)
