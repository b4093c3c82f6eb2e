"""The ledger's line: where the manual clock stands, told over it or by Ray."""

from __future__ import annotations

import asyncio

import pytest
import ray

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.line import Line
from actors.line_caller import LineCaller
from actors.line_frames import clock_as_bytes

pytestmark = pytest.mark.usefixtures("cluster")  # a caller asks Ray which node it is on

TIMEOUT_S = 30.0


async def test_the_real_ledger_tells_its_clock_either_way(cluster: Cluster, outreach: AsyncOutreach) -> None:
    by_ray = AsyncOutreach(cluster.ledger, cluster.shards, cluster.settings)
    assert cluster.settings.clock == "manual"
    for step in range(3):
        await by_ray.set_clock(await by_ray.now() + step)
        assert await outreach.now() == await by_ray.now()
    assert outreach._clock_line is not None
    assert outreach._clock_line._opened


async def test_a_clock_whose_line_has_ended_is_asked_by_ray(cluster: Cluster, outreach: AsyncOutreach) -> None:
    def tell(_: bytes) -> bytes:
        nonlocal told
        told += 1
        if told > 1:
            raise ConnectionResetError
        return clock_as_bytes(7)

    told = 0
    line = Line(tell)

    async def ask_line() -> tuple[str, str]:
        return ray.get_runtime_context().get_node_id(), line.name

    client = AsyncOutreach(cluster.ledger, cluster.shards, cluster.settings)
    client._clock_line = LineCaller("ledger", ask_line, TIMEOUT_S)
    assert await client.now() == 7
    assert await client.now() == await outreach.now()
    assert told == 2
    await client.close()
    line.close()


async def test_reads_of_the_clock_that_come_together_share_one(cluster: Cluster) -> None:
    told = 0

    def tell(_: bytes) -> bytes:
        nonlocal told
        told += 1
        return clock_as_bytes(told)

    line = Line(tell)

    async def ask_line() -> tuple[str, str]:
        return ray.get_runtime_context().get_node_id(), line.name

    client = AsyncOutreach(cluster.ledger, cluster.shards, cluster.settings)
    client._clock_line = LineCaller("ledger", ask_line, TIMEOUT_S)
    first = asyncio.create_task(client.now())
    while not client._clock_line._opened:  # noqa: ASYNC110 - set within the call
        await asyncio.sleep(0)  # its call is under way, so it may be of before the others asked
    others = [asyncio.create_task(client.now()) for _ in range(200)]
    assert [await first, *await asyncio.gather(*others)] == [1, *[2] * 200]
    await client.close()
    line.close()
