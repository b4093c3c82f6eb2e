"""The servers that the bench compares: one that forgets, and one that ends as if the machine had."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from actors.state_directory import ledger_path, shard_path
from actors.state_file import StateFile
from bench.connection import Connection
from bench.population import batch_body, people
from bench.processes import descendants
from bench.restart import CAMPAIGN, NOW, as_utc, seconds_after_kill
from bench.server import Server
from bench.without_durability import ForgetfulServer

PEOPLE = 50


def send(server: Server) -> None:
    connection = Connection(server.host, server.port)
    connection.set_clock(as_utc(NOW))
    connection.put(f"/campaigns/{CAMPAIGN}", {})
    connection.post("/send-batch", batch_body(CAMPAIGN, CAMPAIGN, people(0, PEOPLE)))
    connection.close()


def test_what_nothing_was_written_down_of_is_forgotten(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with ForgetfulServer("--clock", "manual", "--shards", "1", "--state-dir", str(state)) as server:
        send(server)
    assert server.exit_code == 0
    commits = [asyncio.run(commits_of(path, kind)) for path, kind in _files(state)]
    assert commits == [0, 0]


def test_what_was_written_down_outlives_its_processes(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Server("--clock", "manual", "--shards", "1", "--state-dir", str(state)) as server:
        send(server)
        assert seconds_after_kill(server, ("ray::Shard", "ray::LedgerActor"), 2) > 0
        processes = [process for process, _ in descendants(server.process_id)]
        server.kill_all()
    assert len(processes) > 4
    assert not any(is_running(process) for process in processes)
    assert all(asyncio.run(commits_of(path, kind)) > 0 for path, kind in _files(state))


def _files(state: Path) -> list[tuple[Path, str]]:
    return [(ledger_path(state), "ledger"), (shard_path(state, 0), "shard 0")]


async def commits_of(path: Path, kind: str) -> int:
    file = await StateFile.inspect(path, kind, None)
    await file.close()
    return file.sequence


def is_running(process: int) -> bool:
    """A process that ended and that nobody asked about is none."""
    try:
        os.kill(process, 0)
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
