"""The data job of `bench.data_job`, on the cluster of the tests: a shard that is killed in the middle costs no row."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ray._private.state import actors

from actors.client import AsyncOutreach
from actors.cluster import Cluster
from tests.actors.requests import make_recipient, put

PEOPLE = 2_000
BATCH = 50
PAUSE_S = 0.01


async def test_everybody_in_a_file_is_decided_once(outreach: AsyncOutreach, cluster: Cluster, tmp_path: Path) -> None:
    await put(outreach, "job-file", urgency="high")
    people = pa.Table.from_pylist([make_recipient(f"file-{number}", "email") for number in range(PEOPLE)])
    pq.write_table(people, tmp_path / "people.parquet")
    arguments = ("job-file", "launch", str(tmp_path / "people.parquet"), str(tmp_path / "decisions"), BATCH)
    program = f"from bench.data_job import decide_all; decide_all{arguments}"
    job = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=PIPE)
    said = asyncio.create_task(job.communicate())
    while not said.done() and not (await outreach.status("job-file"))["messages"]["scheduled"]:  # noqa: ASYNC110
        await asyncio.sleep(PAUSE_S)
    assert not said.done(), "it was over before a shard could be killed"
    os.kill(int(actors(cluster.shards[0]._actor_id.hex())["Pid"]), signal.SIGKILL)
    _, errors = await said
    assert job.returncode == 0, errors.decode()
    decisions = pq.read_table(tmp_path / "decisions")
    assert sorted(decisions["recipient_id"].to_pylist()) == sorted(people["id"].to_pylist())
    assert set(decisions["status"].to_pylist()) == {"scheduled"}
    assert len(set(decisions["message_id"].to_pylist())) == PEOPLE
    assert (await outreach.status("job-file"))["messages"]["scheduled"] == PEOPLE
