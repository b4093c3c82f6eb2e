"""What a crash costs: how long after `kill -9` everybody is answered again, and how long a start takes with a million
people in the state directory.

What is killed goes on in a spare process (`actors.spare`); they are all there again before the next kill but one.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import msgspec

from bench.answers import BatchAnswer
from bench.connection import Connection, Refused
from bench.journey import as_utc
from bench.population import batch_body, people
from bench.processes import descendants
from bench.result import AnswersWrong, Result
from bench.server import Server

SHARDS = 2
BATCH = 10_000
FEW, MANY = 200_000, 1_000_000
"""100,000 a shard, and a million in all."""

REPEATS = 5
CAMPAIGN = "spring"
NOW = 1_767_225_600  # 2026-01-01T00:00:00Z
PROBES = 40
AFTER_KILL_TARGET_S, START_TARGET_S = 2.0, 5.0
GIVE_UP_S = 120.0
EVERYBODY = ("ray::Shard", "ray::LedgerActor")
"""How the titles of their processes begin."""

WARM_S = 1.0
"""For a spare process to get ready once it has started."""

PAUSE_S = 0.05
"""Between two questions: who asks without one takes the cores from the process that begins again."""


def restart() -> Result:
    """Before and after each crash the campaign's status is the same; the answers after it have everybody."""
    with tempfile.TemporaryDirectory(prefix="madan-sara-bench-") as directory:
        arguments = ("--clock", "manual", "--shards", str(SHARDS), "--state-dir", str(Path(directory) / "state"))
        with Server(*arguments) as server:
            fill(server, 0, FEW)
            killed, killed_again = [], []
            for _ in range(REPEATS):
                wait_for_spares(server)
                killed.append(seconds_after_kill(server, ("ray::Shard",), 1))
                killed_again.append(seconds_after_kill(server, ("ray::Shard",), 1))
            fill(server, FEW, MANY)
            wait_for_spares(server)
            all_killed = seconds_after_kill(server, EVERYBODY, SHARDS + 1)
            status = _status(server)
            server.kill_all()
        began = perf_counter()
        with Server(*arguments) as server:
            started = perf_counter() - began
            _answer_everybody(server)
            answered = perf_counter() - began
            if _status(server) != status:
                raise AnswersWrong("the status after the crash is not what it was before")
    middle, longest = median(killed), max(killed + killed_again)
    return Result(
        name="restart",
        headline=f"answering {middle:.1f} s after kill -9 of a shard with {FEW // SHARDS:,} people, "
        f"{median(killed_again):.1f} s of one that had just come back (longest {longest:.1f} s); with {MANY:,}, "
        f"{all_killed:.1f} s after kill -9 of all shards and the ledger, and {answered:.1f} s after a start of the "
        "whole server",
        target=f"{AFTER_KILL_TARGET_S:.0f} s and {START_TARGET_S:.0f} s",
        reached=middle <= AFTER_KILL_TARGET_S and all_killed <= START_TARGET_S,
        method=f"{SHARDS} shards; until a batch of {PROBES} known people is decided whole, asked again every "
        f"{PAUSE_S * 1000:.0f} ms; {REPEATS} kills of each kind, medians; the status is compared over the crash",
        figures={
            "seconds_after_kill": [round(seconds, 2) for seconds in killed],
            "seconds_after_kill_at_once": [round(seconds, 2) for seconds in killed_again],
            "seconds_1m": round(all_killed, 2),
            "server_ready_seconds_1m": round(started, 2),
            "server_answered_seconds_1m": round(answered, 2),
        },
    )


def fill(server: Server, first: int, end: int, made: Callable[[int, int], bytes] = people) -> None:
    """Decides once for each of the people, so that the shards know them; `made` has their JSON, as `people` does."""
    connection = Connection(server.host, server.port)
    try:
        connection.set_clock(as_utc(NOW))
        connection.put(f"/campaigns/{CAMPAIGN}", {"budget": {"total": "1000000.00"}})
        with ThreadPoolExecutor(1) as making:
            bodies = making.map(
                lambda start: batch_body(CAMPAIGN, CAMPAIGN, made(start, BATCH)), range(first, end, BATCH)
            )
            for body in bodies:
                answer = msgspec.json.decode(connection.post("/send-batch", body), type=BatchAnswer)
                if len(answer.results) != BATCH or answer.counts.get("unavailable"):
                    raise AnswersWrong(f"a batch was not decided whole: {answer.counts}")
    finally:
        connection.close()


def wait_for_spares(server: Server) -> None:
    """Until one process waits for each actor."""
    deadline = perf_counter() + GIVE_UP_S
    while sum(title == "ray::IDLE" for _, title in descendants(server.process_id)) < SHARDS + 1:
        if perf_counter() > deadline:
            raise AnswersWrong(f"no {SHARDS + 1} spare processes after {GIVE_UP_S:.0f} s")
        sleep(PAUSE_S)
    sleep(WARM_S)


def seconds_after_kill(server: Server, names: tuple[str, ...], count: int) -> float:
    """From SIGKILL of `count` actors of these names until everybody is answered again."""
    status = _status(server)
    victims = [process for process, title in descendants(server.process_id) if title.startswith(names)][:count]
    if len(victims) != count:
        raise AnswersWrong(f"{len(victims)} of {count} processes of {names} were found")
    began = perf_counter()
    for process in victims:
        os.kill(process, signal.SIGKILL)
    _answer_everybody(server)
    seconds = perf_counter() - began
    if _status(server) != status:
        raise AnswersWrong("the status after the crash is not what it was before")
    return seconds


def _answer_everybody(server: Server) -> None:
    """Asks until a batch of known people comes back decided whole: as duplicates, which changes nothing."""
    body = batch_body(CAMPAIGN, CAMPAIGN, people(0, PROBES))
    give_up = perf_counter() + GIVE_UP_S
    while (counts := _counts(server, body)) is None or counts.get("unavailable"):
        if perf_counter() >= give_up:
            raise AnswersWrong(f"nobody was answered for {GIVE_UP_S:.0f} s after a crash")
        sleep(PAUSE_S)
    if counts["blocked"] != PROBES:
        raise AnswersWrong(f"known people were not known after the crash: {counts}")


def _counts(server: Server, body: bytes) -> dict[str, int] | None:
    """Of the answer to a batch; None where there is none."""
    connection = Connection(server.host, server.port)
    try:
        return msgspec.json.decode(connection.post("/send-batch", body), type=BatchAnswer).counts
    except (Refused, OSError):
        return None
    finally:
        connection.close()


def _status(server: Server) -> dict[str, Any]:
    connection = Connection(server.host, server.port)
    try:
        return {
            name: part for name, part in connection.get(f"/campaigns/{CAMPAIGN}/status").items() if name != "blocked"
        }
    finally:
        connection.close()
