"""What a million people take up in the shards' memory, once each was decided for."""

from __future__ import annotations

from pathlib import Path

from bench.processes import descendants
from bench.restart import SHARDS, fill
from bench.result import AnswersWrong, Result
from bench.server import Server

FIRST = 10_000
"""Decided for before the first look, so that code and tables that everybody shares are there."""

PEOPLE = 1_000_000
TARGET = 500


def memory() -> Result:
    """What the shards' processes hold for themselves, before and after; every batch must be decided whole."""
    with Server("--clock", "manual", "--shards", str(SHARDS)) as server:
        fill(server, 0, FIRST)
        before = shard_bytes(server)
        fill(server, FIRST, FIRST + PEOPLE)
        after = shard_bytes(server)
    each = (after - before) / PEOPLE
    return Result(
        name="memory",
        headline=f"{each:.0f} bytes a person in the shards, {after / 2**20:,.0f} MiB in all",
        target=f"{TARGET} bytes",
        reached=each <= TARGET,
        method=f"{PEOPLE:,} people with 2.5 addresses on average, each with a message that waits; {SHARDS} shards; "
        f"anonymous memory of their processes (RssAnon), less that with {FIRST:,} people",
        figures={
            "bytes_per_recipient": round(each),
            "shard_bytes": after,
            "shard_bytes_before": before,
            "recipients": PEOPLE,
        },
    )


def shard_bytes(server: Server) -> int:
    """Memory of all shards that is no file's."""
    shards = [process for process, title in descendants(server.process_id) if title.startswith("ray::Shard")]
    if len(shards) != SHARDS:
        raise AnswersWrong(f"{len(shards)} of {SHARDS} shards were found")
    return sum(anonymous_bytes(process) for process in shards)


def anonymous_bytes(process: int | str) -> int:
    """Memory that is no file's, of a process by its number, or of this one by "self"."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024
