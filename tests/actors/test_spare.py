"""The processes that wait to become the next lives of actors."""

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
    return {process for process, title in descendants(os.getpid()) if title == "ray::IDLE"}


async def until_waiting(count: int) -> set[int]:
    """Never more than that."""
    async with asyncio.timeout(WITHIN_S):
        while len(processes := waiting()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(processes) == count
    return processes


async def test_actors_that_are_killed_together_go_on_in_processes_that_waited(cluster: Cluster) -> None:
    actors = [cluster.ledger, *cluster.shards]
    before = await until_waiting(len(actors))
    for process in [process_of(actor) for actor in actors]:
        os.kill(process, signal.SIGKILL)
    await until_ready(cluster.client())
    # Ray keeps as many idle processes of other tests' tasks as there are cores, and gives none of them to an actor.
    cores = os.cpu_count() or 1
    assert len({process_of(actor) for actor in actors} & before) >= len(actors) - cores
    for _ in range(3):  # now there is none for it
        os.kill(process_of(cluster.shards[0]), signal.SIGKILL)
        await until_ready(cluster.client())
    await until_waiting(len(actors))


def test_where_there_can_be_none_all_goes_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [])
    with caplog.at_level(logging.WARNING):
        spare.start_spare()
    assert "no process could be prepared" in caplog.text
