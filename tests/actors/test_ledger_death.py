"""A ledger whose process is killed under load: Ray begins it again, and money stays exact to the last cent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path

from ray._private.state import actors

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.ledger_file import LedgerFile
from engine.errors import ShardUnavailable
from tests.actors.requests import make_recipient, put, send_batch
from tests.actors.threaded import fail

KILLS = 3
AFFORDABLE = 1_000
PRICE = 1_000
BATCH = 25
CLIENTS = 8
PAUSE_S = 0.05


def kill_ledger(cluster: Cluster) -> None:
    os.kill(int(actors(cluster.ledger._actor_id.hex())["Pid"]), signal.SIGKILL)


async def until_it_answers(outreach: AsyncOutreach) -> int:
    while True:
        try:
            return await outreach.now()
        except ShardUnavailable:
            await asyncio.sleep(PAUSE_S)


async def decide(outreach: AsyncOutreach, campaign_id: str, ids: list[str]) -> Counter[str]:
    """Asks again for those that could not be decided."""
    outcomes: Counter[str] = Counter()
    while ids:
        try:
            answer = await send_batch(outreach, campaign_id, [make_recipient(one, "email") for one in ids])
        except ShardUnavailable:
            await asyncio.sleep(PAUSE_S)
            continue
        rows = answer["results"]
        ids = [row["recipient_id"] for row in rows if row["status"] == "unavailable"]
        outcomes.update(row["reason"] or row["status"] for row in rows if row["status"] != "unavailable")
    return outcomes


async def test_the_last_cent_is_spent_and_not_one_more(outreach: AsyncOutreach, cluster: Cluster) -> None:
    budget = {"total": f"{AFFORDABLE * PRICE // 10**6}.{AFFORDABLE * PRICE % 10**6:06}"}
    await put(outreach, "widowed", urgency="high", costs={"email": "0.001"}, budget=budget)
    before = await outreach.now()
    ids = iter([f"widowed-{index}" for index in range(2 * AFFORDABLE)])
    outcomes: Counter[str] = Counter()

    async def client() -> None:
        while batch := [one for one, _ in zip(ids, range(BATCH), strict=False)]:
            outcomes.update(await decide(outreach, "widowed", batch))

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    for kill in range(KILLS):
        while outcomes.total() < kill * AFFORDABLE // 2:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)
        kill_ledger(cluster)
        assert await until_it_answers(outreach) == before
    await asyncio.gather(*clients)
    assert outcomes == Counter(scheduled=AFFORDABLE, over_budget=outcomes.total() - AFFORDABLE)
    assert await cluster.ledger.audit.remote() == []
    await cluster.ledger.reopen.remote("widowed")
    assert (await cluster.ledger.spent.remote("widowed"))[(0, 0)] == AFFORDABLE * PRICE
    assert {one.campaign.id for one in await cluster.ledger.list_campaigns.remote()} >= {"widowed"}


STARTS = """
import sys
import msgspec
from actors.cluster import start
from engine.config import default_settings
from engine.errors import ConfigurationError

try:
    start(msgspec.structs.replace(default_settings(), shards=1, state_dir=sys.argv[1]))
except ConfigurationError as error:
    print(error)
"""


async def test_a_directory_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """In a process of its own, for here is a Ray already."""
    await (await LedgerFile.open(tmp_path, 3, fail)).close()
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS, str(tmp_path), stdout=PIPE, stderr=PIPE
    )
    said = (await started.communicate())[0].decode()
    assert said.startswith("state_dir: takes a directory that can be used. "), said
    assert "it is one of 3 shards, and it is opened with 1" in said
    assert started.returncode == 0
