"""The process that waits to become the next life of an actor."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest
import ray

from actors import spare
from actors.cluster import Cluster
from bench.processes import descendants
from tests.faults.kills import process_of, until_ready

WITHIN_S = 60.0


def waiting() -> set[int]:
    return {process for process, title in descendants(os.getpid()) if title.startswith("ray::IDLE")}


async def until_another_waits(than: set[int]) -> set[int]:
    async with asyncio.timeout(WITHIN_S):
        while not (others := waiting() - than):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return others


async def test_a_killed_shard_goes_on_in_the_process_that_waited(cluster: Cluster) -> None:
    before, shard = await until_another_waits(set()), cluster.shards[0]
    os.kill(process_of(shard), signal.SIGKILL)
    await until_ready(cluster.client())
    assert process_of(shard) in before
    await until_another_waits(before)


def test_where_there_can_be_none_all_goes_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [])
    with caplog.at_level(logging.WARNING):
        spare.keep_spare()
    assert "no process could be prepared" in caplog.text
