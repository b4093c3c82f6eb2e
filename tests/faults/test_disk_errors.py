"""Two strikes of `disk_errors`, on a cluster of their own: it must be started with the disk that fails."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT

SEED = 7
"""A checkpoint of a shard that fails, and the ledger's disk that is full."""


async def test_what_clients_were_told_is_so_after_errors_of_the_disk() -> None:
    arguments = ["-m", "tests.faults", "--only", "disk", "--count", "2", "--seed", str(SEED)]
    run = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, stderr=STDOUT)
    said = (await run.communicate())[0].decode()
    assert run.returncode == 0, said
