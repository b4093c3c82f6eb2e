"""Every command of the README runs, and answers what the README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.server import Server

README = (Path(__file__).parents[1] / "README.md").read_text()
WHERE = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


CURLS = [block for block in blocks("sh") if block.startswith("curl ")]
MAKES = [block.strip() for block in blocks("sh") if block.startswith("make ")]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    (serve,) = (command for command in MAKES if command.startswith("make serve"))
    arguments = re.findall(r'ARGS="(.*)"', serve)[0].split()
    with Server(*arguments, "--shards", "2") as server:
        yield server


@pytest.fixture(scope="module")
def answers(server: Server) -> list[Any]:
    """What the curl commands answer, run in order."""
    if shutil.which("curl") is None:
        pytest.fail("curl is missing: install it, or nobody can try the README")
    results = []
    for command in CURLS:
        here = command.replace(WHERE, f"http://{server.host}:{server.port}")
        done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True, timeout=60)
        results.append(json.loads(done.stdout))
    return results


def test_every_block_is_run_by_a_test() -> None:
    assert len(CURLS) + len(MAKES) == len(blocks("sh"))
    assert len(MAKES) == 2
    assert len(blocks("json")) == len(blocks("python")) == 1


@pytest.mark.parametrize("command", re.findall(r"`?(make [a-z-]+)", README))
def test_make_has_the_target(command: str) -> None:
    done = subprocess.run(["bash", "-c", f"{command} --dry-run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_decision_is_the_one_shown(answers: list[Any]) -> None:
    (shown,) = blocks("json")
    assert answers[2] == json.loads(shown)


def test_the_batch_and_the_status_are_as_told(answers: list[Any]) -> None:
    batch, status = answers[3], answers[4]
    duplicate, by_sms, invalid = batch["results"]
    assert duplicate["reason"] == "duplicate"
    assert (by_sms["channel"], by_sms["scheduled_local"][11:13]) == ("sms", "12")
    assert invalid["errors"][0]["path"] == "/recipients/2/timezone"
    assert status["messages"]["scheduled"] == 2


def test_the_python_client_joins(server: Server, answers: list[Any]) -> None:
    (program,) = blocks("python")
    # As in a newcomer's shell, but for the address: other clusters may run on this machine just now.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    (environment["RAY_ADDRESS"],) = re.findall(r"join this cluster at ([0-9.:]+)", server.log())
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    counts, remaining = done.stdout.strip().rsplit(" ", 1)
    assert "'scheduled': 1" in counts
    assert float(remaining) < 500
