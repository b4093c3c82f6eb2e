"""A server with a state directory: what it answered is there after its end, by a signal or by SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from actors.state_directory import ledger_path, shard_path
from api.cli import main
from tests.actors.requests import make_recipient

SHARDS = 2
PEOPLE = [make_recipient(f"p-{index}") for index in range(40)]
BATCH = {"campaign_id": "c", "recipients": PEOPLE}
KEY = {"Idempotency-Key": "once"}


@contextmanager
def serving(directory: Path, last_signal: int) -> Iterator[httpx.Client]:
    options = ["--port", "0", "--shards", str(SHARDS), "--clock", "manual", "--state-dir", str(directory)]
    command = [sys.executable, "-m", "api.cli", "serve", *options]
    environment = os.environ | {"MADAN_SARA_DELIVERY__ENABLED": "false"}  # or the status would go on by itself
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            _, url = server.stdout.readline().split()
            with httpx.Client(base_url=url, timeout=30) as client:
                yield client
            server.send_signal(last_signal)
            assert server.wait(30) == (0 if last_signal == signal.SIGTERM else -last_signal)
        finally:
            server.kill()


def check(directory: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["state", "check", str(directory)])
    return result.exit_code, result.stdout + result.stderr


@pytest.mark.parametrize("last_signal", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_server_goes_on_where_the_last_one_ended(tmp_path: Path, last_signal: int) -> None:
    """A signal to the server alone: Ray ends after it, and the next one waits for the files."""
    directory = tmp_path / "state"
    prefix = "/api/v1/outreach"
    with serving(directory, last_signal) as client:
        assert client.put("/api/v1/clock", json={"now": "2026-03-01T12:00:00Z"}).status_code == 200
        campaign = {"urgency": "high", "costs": {"email": "0.001", "sms": "0.001"}, "budget": {"total": "0.03"}}
        assert client.put(f"{prefix}/campaigns/c", json=campaign).status_code == 200
        assert client.post(f"{prefix}/campaigns/c/pause").status_code == 200
        assert client.post(f"{prefix}/campaigns/c/resume").status_code == 200
        first = client.post(f"{prefix}/send-batch", json=BATCH, headers=KEY)
        assert first.json()["counts"] == {"scheduled": 30, "blocked": 10, "invalid": 0}
        status = client.get(f"{prefix}/campaigns/c/status").json()
    with serving(directory, signal.SIGTERM) as client:
        assert client.get(f"{prefix}/campaigns/c/status").json() == status
        again = client.post(f"{prefix}/send-batch", json=BATCH, headers=KEY)
        assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
        assert client.put("/api/v1/clock", json={"now": "2026-03-01T11:59:59Z"}).status_code == 409
        assert client.post(f"{prefix}/send-batch", json=BATCH).json()["reasons"] == {"duplicate": 30, "over_budget": 10}
    code, said = check(directory)
    assert (code, said.splitlines()[-1]) == (0, "ok")
    assert said.startswith("ledger.sqlite: ")
    assert "1 campaigns" in said
    assert oct(directory.stat().st_mode & 0o777) == "0o700"

    damage(shard_path(directory, 1))
    code, said = check(directory)
    assert code == 1
    assert "shard-1.sqlite" in said
    shard_path(directory, 1).unlink()
    assert check(directory)[0] == 1
    ledger_path(directory).unlink()
    assert check(directory)[0] == 1


def damage(path: Path) -> None:
    """Changes every page of a file but the first."""
    content = bytearray(path.read_bytes())
    for place in range(8192 + 100, len(content), 512):
        content[place] ^= 1
    path.write_bytes(bytes(content))
