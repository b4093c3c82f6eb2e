"""Calls that Ray loses and delays: requests that never arrive, answers that never come back, both between actors too.

Ray has faults of its own to be tested with, which hold in what pip installs: `RAY_testing_rpc_failure` loses calls by
chance, `RAY_testing_asio_delay_us` has them wait on arrival, so that they overtake each other. It reads both once a
process. So rounds of `tests.faults.kills` run in a process of their own, on a cluster of its own, until Ray has lost as
many calls as are wanted by its own logs. Which ones is Ray's own dice, which take no seed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections import Counter
from pathlib import Path

import msgspec
from ray._private import worker

import actors.cluster
from actors.cluster import Cluster, running
from actors.timeouts import START_TIMEOUT_S
from engine.config import default_settings
from tests.faults.kills import ROUND_WITHIN_S, Plan, Round
from tests.faults.patience import PatientOutreach
from tests.faults.server import LAST_WORDS, RAY_GAVE_UP
from tests.settings import deciding

CALL = "CoreWorkerService.grpc_client.PushTask"
ARRIVAL = "CoreWorkerService.grpc_server.PushTask"
"""Of a call of an actor's method, by Ray's names."""

PERCENT_LOST = 4
"""Of all calls, each way: not sent; done and its answer lost; its answer lost while it is being done."""

DELAYS_MS_MAX = (0, 20, 200, 600)
"""One of them for a process: up to what the ledger waits for a slice to come back (`actors.timeouts`). Where calls take
longer than what waits for them nobody gets money, and a round has no end."""

SHARDS = 4
SHARD_TIMEOUT_MS = 2000
PLAN = Plan(strikes=0, people=120, requests=6)
LOGGED = {
    "Inject RPC request failure for": "lost request",
    "Inject RPC response failure for": "lost answer",
    "Inject RPC response failure while request in flight for": "lost answer under way",
}


class LossyRound(Round):
    """A round in which calls are lost to the end."""

    within_s = 3 * ROUND_WITHIN_S

    def quiet_client(self) -> PatientOutreach:
        return PatientOutreach(self.cluster.client())


async def lost_calls(count: int, seed: int) -> Counter[str]:
    """See the module. Raises `AssertionError` with the last words of the process if it finds harm."""
    chance = dict.fromkeys(("req_failure_prob", "resp_failure_prob", "in_flight_failure_prob"), PERCENT_LOST)
    delay_us = 1000 * random.Random(seed).choice(DELAYS_MS_MAX)
    faults = {
        "RAY_testing_rpc_failure": msgspec.json.encode({CALL: {"num_failures": -1, **chance}}).decode(),
        "RAY_testing_asio_delay_us": f"{ARRIVAL}=0:{delay_us}",
    }
    command = [sys.executable, "-m", "tests.faults.lost_calls", str(count), str(seed)]
    code, words = 1, RAY_GAVE_UP.encode()
    while code and RAY_GAVE_UP.encode() in words:
        code, said, words = await run(command, faults)
    assert code == 0, f"seed {seed}, delays up to {delay_us} us: {words[-LAST_WORDS:].decode(errors='replace')}"
    return Counter(msgspec.json.decode(said.splitlines()[-1], type=dict[str, int]))


async def run(command: list[str], environment: dict[str, str]) -> tuple[int, bytes, bytes]:
    """Its exit code, what it said, and what it logged."""
    child = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, words = await child.communicate()
    finally:
        if child.returncode is None:
            child.terminate()
    return child.returncode or 0, said, words


def counted(logs: Path) -> Counter[str]:
    """What Ray says in its logs that it lost."""
    found = Counter[str]()
    for log in logs.glob("python-core-*.log"):
        text = log.read_text(errors="replace")
        for words, name in LOGGED.items():
            found[name] += text.count(f"{words} {CALL}")
    return found


async def play(cluster: Cluster, count: int, seed: int) -> Counter[str]:
    """Rounds until Ray has lost that many calls."""
    outcomes, lost = Counter[str](), Counter[str]()
    for number in itertools.count():
        if lost.total() >= count:
            break
        outcomes += (await LossyRound(cluster, f"l-{seed}-{number}", seed, PLAN).play()).counted
        lost = counted(Path(worker._global_node.get_logs_dir_path()))
        assert lost, "Ray lost nothing: it does not know these settings"
    return outcomes + lost


def main() -> None:
    """The process that `lost_calls` starts."""
    count, seed = map(int, sys.argv[1:])
    limits = msgspec.structs.replace(default_settings().limits, shard_timeout_ms=SHARD_TIMEOUT_MS)
    settings = deciding(shards=SHARDS, clock="manual", limits=limits)
    actors.cluster.RESTART_TIMEOUT_S = START_TIMEOUT_S  # each try at a start loses calls, too
    with running(settings) as cluster:
        print(msgspec.json.encode(asyncio.run(play(cluster, count, seed))).decode())


if __name__ == "__main__":
    main()
