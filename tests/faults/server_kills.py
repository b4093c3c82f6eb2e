"""kill -9 of a real server, its front end alone or every process of it, while clients repeat with keys over HTTP.

The clients of `tests.faults.kills` ask `madan-sara serve` on a state directory. It is killed in the middle of batches
and started again at once, while what it has left behind may still be ending; the clients go on repeating. At the end
the server says what clients were told, and stops in order, and `state check` finds no fault in its directory.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from engine.errors import StateFault
from tests.faults.directories import check
from tests.faults.kills import PAUSE_S, Plan, Round
from tests.faults.server import START_WITHIN_S, Server

KINDS = ("front end", "every process", "as it starts")
SHARDS = 2
UNDER_WAY_LOOKS = 1000
PLAN = Plan(kinds=KINDS, strikes=3)


class ServerRound(Round):
    """A round on a server that runs."""

    def __init__(self, server: Server, name: str, seed: int, plan: Plan) -> None:
        super().__init__(server, name, seed, plan)
        self.server = server
        self.within_s += plan.strikes * START_WITHIN_S

    async def strike_once(self, kind: str) -> None:
        await self.until_under_way()
        self.outcome.struck[kind] += 1
        self.outcome.counted["requests under way when struck"] += self.server.client().under_way
        if kind == "every process":
            self.server.kill(self.dice)
            await self.server.until_gone()
            await self.look()
            await self.server.start()
            return
        self.server.kill()
        if kind == "as it starts":
            await self.server.until_gone()  # or it would be the last life's writes that are waited for
            await self.server.kill_as_it_starts(self.dice)
        gone = asyncio.create_task(self.server.until_gone())
        await self.server.start()
        await gone

    async def look(self) -> None:
        """At what a crash left."""
        try:
            await check(self.server.state)
        except StateFault as fault:
            raise AssertionError(f"state check, after a kill: {fault}") from fault

    async def until_under_way(self) -> None:
        """Some request is, or everybody has been answered."""
        for _ in range(UNDER_WAY_LOOKS):
            if self.server.client().under_way:
                return
            await asyncio.sleep(PAUSE_S / 10)


async def server_kills(count: int, seed: int, plan: Plan = PLAN) -> Counter[str]:
    """See the module: one life after the other on one directory. How often each kind struck, and what was asked."""
    struck, plan = Counter[str](), replace(plan, strikes=min(plan.strikes, count))
    with tempfile.TemporaryDirectory(prefix="madan-sara-faults-", ignore_cleanup_errors=True) as place:
        server = Server(Path(place) / "state", SHARDS)
        try:
            if "as it starts" in plan.kinds:
                struck["as it starts"] += 1
                await server.kill_as_it_starts(random.Random(seed))
            await server.start()
            outcome = await ServerRound(server, f"s-{seed}", seed, plan).play()
            await server.stop()
        finally:
            await server.close()
        await state_check(server.state)
    return outcome.struck + outcome.counted + struck


async def state_check(directory: Path) -> None:
    """By the command line, as somebody does who wants to know. Raises `AssertionError` with what it says."""
    command = [sys.executable, "-m", "api.cli", "state", "check", str(directory)]
    checked = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.splitlines()[-1:]) == (0, ["ok"]), checked.stdout + checked.stderr
