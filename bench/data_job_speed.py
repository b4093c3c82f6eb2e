"""The speed of the data job `bench.data_job`: a million people from a Parquet file to Parquet files of decisions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import checks
from bench.answers import Outcome, micros
from bench.batch_form import people_table
from bench.batches import CAMPAIGN, CAMPAIGN_BODY, FIRST_DAY
from bench.connection import Connection
from bench.journey import as_utc
from bench.progress import tell
from bench.result import AnswersWrong, Result
from bench.server import Server, ServerFailed

__all__ = ["data_job"]

PEOPLE = 1_000_000
BATCH = 10_000
ROWS_AT_ONCE = 50_000
"""Written to the file, and read from that of the decisions."""

JOB = "launch"
PAUSE_S = 0.5
"""Between two looks at how far it is."""

TIMEOUT_S = 600
END_TIMEOUT_S = 15
WORDS_SHOWN = 2_000
STEADY = (0.1, 0.9)
"""Shares of the people between which it is past its start and not at its end."""

Looks = list[tuple[float, int]]
"""Instants, and how many people were decided by then."""


def data_job() -> Result:
    """The job as its user starts it, in a process of its own beside a running server. Every decision is checked."""
    with tempfile.TemporaryDirectory(prefix="madan-sara-bench-") as directory, Server("--clock", "manual") as server:
        people, decisions = Path(directory) / "people.parquet", Path(directory) / "decisions"
        write_people(people)
        with closing(Connection(server.host, server.port)) as connection:
            connection.set_clock(as_utc(FIRST_DAY))
            connection.put(f"/campaigns/{CAMPAIGN}", CAMPAIGN_BODY)
        began = perf_counter()
        with started_job(address_of(server), people, decisions) as job:
            looks = watch(job, server)
            seconds = perf_counter() - began
        tell("checking the decisions")
        with closing(Connection(server.host, server.port)) as connection:
            status = connection.get(f"/campaigns/{CAMPAIGN}/status")
        outcomes = read_outcomes(decisions)
    scheduled = check(outcomes, status)
    steady, first = steady_per_s(looks), next((at - began for at, decided in looks if decided), seconds)
    return Result(
        name="data_job",
        headline=f"{PEOPLE / seconds:,.0f} decisions a second from the start of the command to its end "
        f"({seconds:.1f} s); the first after {first:.0f} s, then {steady:,.0f} a second",
        target="",
        reached=None,
        method=f"{PEOPLE:,} people in a Parquet file of {ROWS_AT_ONCE:,} a row group; Ray Data on the server's Ray, "
        f"batches of {BATCH:,} in Arrow under keys of their own; {scheduled:.1%} scheduled; each row there once, caps, "
        "keys and money by brute force, the status against the sum of the rows",
        figures={
            "decisions_per_s": round(PEOPLE / seconds),
            "decisions_per_s_steady": round(steady),
            "seconds": round(seconds, 2),
            "seconds_to_first": round(first, 1),
            "people": PEOPLE,
            "batch": BATCH,
            "scheduled_share": round(scheduled, 3),
        },
    )


def write_people(path: Path) -> None:
    """The file that the job reads."""
    import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: PLC0415 - of an extra

    firsts = range(0, PEOPLE, ROWS_AT_ONCE)
    with pyarrow.parquet.ParquetWriter(path, people_table(0, 1).schema) as writer:
        for first in firsts:
            tell(f"writing the file: {first:,} of {PEOPLE:,} people")
            writer.write_table(people_table(first, min(ROWS_AT_ONCE, PEOPLE - first)))


def address_of(server: Server) -> str:
    """Of the server's Ray, which it logs: there may be others on this machine."""
    found = re.search(r"join this cluster at ([\w.:\[\]]+)", server.log())
    if found is None:
        raise ServerFailed("the server does not say at which address its cluster is joined")
    return found[1]


@contextmanager
def started_job(address: str, people: Path, decisions: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Its process, which is ended with the context. Raises `AnswersWrong` with its last words where it fails."""
    command = (sys.executable, "-m", "bench.data_job", CAMPAIGN, JOB, str(people), str(decisions))
    with tempfile.TemporaryFile() as said:
        job = subprocess.Popen(
            command, env={**os.environ, "RAY_ADDRESS": address}, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            yield job
        finally:
            job.terminate()
            try:
                job.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                job.kill()
                job.wait()
        if job.returncode != 0:
            said.seek(0)
            raise AnswersWrong(
                f"the job ended with {job.returncode}:\n{said.read()[-WORDS_SHOWN:].decode(errors='replace')}"
            )


def watch(job: subprocess.Popen[bytes], server: Server) -> Looks:
    """Looks at how far it is until it ends. Raises `AnswersWrong` if that takes too long."""
    looks: Looks = []
    give_up = perf_counter() + TIMEOUT_S
    with closing(Connection(server.host, server.port)) as connection:
        while perf_counter() < give_up:
            try:
                job.wait(PAUSE_S)
            except subprocess.TimeoutExpired:
                status = connection.get(f"/campaigns/{CAMPAIGN}/status")
                decided = sum(status["messages"].values()) + sum(status["blocked"].values())
                looks.append((perf_counter(), decided))
                tell(f"{decided:,} of {PEOPLE:,} people decided")
            else:
                return looks
    raise AnswersWrong(f"the job had not ended after {TIMEOUT_S} s")


def steady_per_s(looks: Looks) -> float:
    """Decisions a second between the first and the last look that saw it well under way; 0 where none did."""
    low, high = (share * PEOPLE for share in STEADY)
    under_way = [look for look in looks if low <= look[1] <= high]
    if len(under_way) < 2:
        return 0.0
    (first_at, first), (last_at, last) = under_way[0], under_way[-1]
    return (last - first) / (last_at - first_at)


def read_outcomes(decisions: Path) -> list[Outcome]:
    """Every row that the job wrote."""
    import pyarrow.dataset  # type: ignore[import-untyped]  # noqa: PLC0415 - of an extra

    columns = ["recipient_id", "status", "reason", "channel", "scheduled_at", "cost"]
    batches = pyarrow.dataset.dataset(decisions, format="parquet").to_batches(columns=columns, batch_size=ROWS_AT_ONCE)
    return [
        Outcome(
            household=int(name.rpartition("-")[2]),
            campaign=CAMPAIGN,
            dedup_key=CAMPAIGN,
            now=FIRST_DAY,
            status=status,
            reason=reason,
            channel=channel,
            at=int(at.timestamp()) if at is not None else None,
            local_minute=None,
            cost=micros(str(cost)) if cost is not None else 0,
            quiet=(0, 0),
        )
        for batch in batches
        for name, status, reason, channel, at, cost in zip(
            *(batch[column].to_pylist() for column in columns), strict=True
        )
    ]


def check(outcomes: list[Outcome], status: dict[str, Any]) -> float:
    """The scheduled share. Raises `AnswersWrong` unless everybody is there once, decided within the rules, and the
    status is the sum of the rows."""
    if sorted(outcome.household for outcome in outcomes) != list(range(PEOPLE)):
        raise AnswersWrong(f"{len(outcomes):,} rows do not hold each of {PEOPLE:,} people once")
    if unknown := {outcome.status for outcome in outcomes} - {"scheduled", "blocked"}:
        raise AnswersWrong(f"some rows are {', '.join(sorted(unknown))}")
    faults = checks.check_campaign(outcomes, CAMPAIGN, CAMPAIGN_BODY, status)
    if faults:
        raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")
    return sum(outcome.at is not None for outcome in outcomes) / PEOPLE
