"""What is learned on one shard is known on all, once it is published."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import ray
from ray.exceptions import RayActorError

from actors import publications
from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.ledger_file import LedgerFile
from actors.publications import Publications
from engine.config import default_settings
from engine.event import Event
from engine.router import Router
from engine.scalars import Identifier
from tests.actors.requests import put, send
from tests.actors.test_recalls import QUICK
from tests.actors.threaded import Start, ThreadShard, fail

DAY = 86_400
EMAIL = 0
MANUAL = msgspec.structs.replace(default_settings(), clock="manual")
TURNS_OF_THE_LOOP = 200


def counts(delivered: float, engaged: float) -> np.ndarray:
    """Of e-mail at nine."""
    array = np.zeros((2, 7, 24))
    array[:, EMAIL, 9] = delivered, engaged
    return array


def rate(shard: ThreadShard, campaign_id: str) -> float:
    return float(shard.heard[-1].figures.of(campaign_id).rates[EMAIL])


# ---- the protocol -----------------------------------------------------------------------------------------


async def test_a_move_of_the_clock_tells_all_what_each_has_learned(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 3, settings=MANUAL)
    shards[0].counts["c"], shards[2].counts["c"] = counts(1, 0), counts(3, 3)
    assert [rate(shard, "c") for shard in shards] == [0.22] * 3
    await ledger.set_clock(100)
    assert [rate(shard, "c") for shard in shards] == [0.75] * 3
    await shards[1].register()
    assert [shard.heard[-1].number for shard in shards] == [1] * 3
    await ledger.set_clock(100)
    assert [shard.heard[-1].number for shard in shards] == [2] * 3


@pytest.mark.parametrize("hung", [True, False])
async def test_who_does_not_answer_counts_as_last_reported_and_holds_nobody_up(
    start: Start, caplog: pytest.LogCaptureFixture, hung: bool
) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=QUICK)
    shards[0].counts["c"], shards[1].counts["c"] = counts(2, 2), counts(1, 0)
    await ledger.set_clock(0)
    shards[0].counts["c"] = counts(100, 0)
    if hung:
        shards[0].hung.set()
    else:
        shards[0].alive = False
    with caplog.at_level(logging.WARNING):
        await ledger.set_clock(90 * DAY)
    assert await ledger.now() == 90 * DAY
    # Two engaged of two by then weigh one of one.
    assert (rate(shards[1], "c"), rate(shards[0], "c")) == (0.5, pytest.approx(2 / 3))
    spoken = [record.getMessage() for record in caplog.records]
    whats = [text.split(" what was learned: ")[0] for text in spoken]
    assert whats == ["shard 0 does not report", "shard 0 does not hear"]
    assert ("no answer within" in spoken[0]) == hung


async def test_a_publication_a_minute_whatever_happens(tmp_path: Path) -> None:
    times, pauses = iter([60, "no time", 180]), []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 3:
            raise asyncio.CancelledError

    file = await LedgerFile.open(tmp_path, 0, fail)
    published = Publications(default_settings(), file, [], 1.0)
    with pytest.raises(asyncio.CancelledError):
        await published.publish_for_ever(lambda: int(next(times)), pause)  # type: ignore[call-overload]
    assert pauses == [60.0] * 4
    assert published.latest.number == 2
    await file.close()


async def test_one_that_is_given_up_at_once_asks_nobody(tmp_path: Path) -> None:
    """A call that is made and never waited for is a warning whenever its garbage is collected."""

    class Link:
        async def learned(self, now: int) -> None:
            raise AssertionError("it was asked")

    file = await LedgerFile.open(tmp_path, 1, fail)
    published = Publications(default_settings(), file, [Link()], 1.0)  # type: ignore[list-item]
    publishing = asyncio.create_task(published.publish(0))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    del publishing
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        gc.collect()
    assert not warned
    await file.close()


@pytest.mark.parametrize("settings", [MANUAL, default_settings()])
async def test_only_the_system_clock_publishes_by_itself(
    start: Start, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(publications, "INTERVAL_S", 0)
    _, shards = await start(*[ThreadShard] * 2, settings=settings)
    for _ in range(TURNS_OF_THE_LOOP):
        await asyncio.sleep(0)
    if settings.clock == "system":
        while min(shard.heard[-1].number for shard in shards) < 3:  # noqa: ASYNC110 - set by the shards' threads
            await asyncio.sleep(0)
    else:
        assert [shard.heard[-1].number for shard in shards] == [0, 0]


# ---- in Ray -----------------------------------------------------------------------------------------------


async def engagement(outreach: AsyncOutreach, recipient_id: str) -> float:
    """The factor that a person nobody wrote to before has on a channel that no other test here uses."""
    recipient = {"id": recipient_id, "contacts": {"twitter": "ana"}}
    decision = await send(outreach, "learned", recipient, explain=True)
    value: float = decision["explanation"]["channels"]["twitter"]["factors"]["engagement"]
    return value


async def until_later_life(shard: Any, life: int) -> None:
    while True:
        with suppress(RayActorError):
            if await shard.ping.remote() > life:
                return


async def test_shards_in_ray_decide_by_what_others_learned(outreach: AsyncOutreach, cluster: Cluster) -> None:
    router = Router(len(cluster.shards))
    everywhere = range(len(cluster.shards))
    ids = [f"learned-{number}" for number in range(100)]
    people = {shard: [one for one in ids if router.shard_of_recipient(one) == shard] for shard in everywhere}
    await put(outreach, "learned", urgency="high")
    first = await send(outreach, "learned", {"id": people[0].pop(), "contacts": {"twitter": "ana"}})
    event = Event(id=Identifier("learned"), type="replied", message_id=Identifier(first["message_id"]))
    assert [one["status"] for one in await outreach.events([event])] == ["applied"]
    assert [await engagement(outreach, people[shard].pop()) for shard in everywhere] == pytest.approx([0.05] * 4)
    await outreach.set_clock(await outreach.now())
    assert [await engagement(outreach, people[shard].pop()) for shard in everywhere] == pytest.approx([1.0] * 4)
    life = await cluster.shards[1].ping.remote()
    ray.kill(cluster.shards[1], no_restart=False)
    await until_later_life(cluster.shards[1], life)
    assert await engagement(outreach, people[1].pop()) == pytest.approx(1.0)  # the new life knows
