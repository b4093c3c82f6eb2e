"""`madan-sara serve` on a state directory, life after life: killed as the system kills, and started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.processes import descendants
from tests.faults.http_outreach import HttpOutreach

START_WITHIN_S = 240.0
"""Longer than the server itself gives its actors."""

GONE_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
PAUSE_S = 0.01
LAST_WORDS = 2000
RAY_GAVE_UP = "The current node timed out during startup."
"""After 30 s, on a machine that has no time for it. Whoever runs a server starts it again."""

KEEPERS = ("ray::Shard", "ray::LedgerActor")
"""Processes that have a state file open, by the beginning of their title."""


class Server:
    """Lives on one event loop. `state` is its directory alone; what it says and logs goes beside it."""

    def __init__(self, state: Path, shards: int) -> None:
        self.state = state
        self.url: str | None = None
        self.starts_s: list[float] = []
        """Of each life, until it was ready."""
        self.ends_s: list[float] = []
        """Of each kill, until nobody had a state file open any more."""
        options = ["--port", "0", "--clock", "manual", "--shards", str(shards), "--state-dir", str(state)]
        self._command = [sys.executable, "-m", "api.cli", "serve", *options]
        self._said, self._log = state.with_name(f"{state.name}.said"), state.with_name(f"{state.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._killed: list[int] = []
        self._client = HttpOutreach(lambda: self.url)

    def client(self) -> HttpOutreach:
        """One for all."""
        return self._client

    async def start(self) -> None:
        """Raises `AssertionError` with its last words if it ends instead, or takes too long."""
        began = time.monotonic()
        self._launch()
        while not await self._until(self._is_ready, START_WITHIN_S, "it was not ready"):
            self._launch()
        self.starts_s.append(time.monotonic() - began)
        self.url = self._said.read_text().split()[1]

    async def kill_as_it_starts(self, dice: random.Random) -> None:
        """A life that ends about when the ledger or a shard begins to write, the front end alone by a signal."""
        before, delay_s = self._last_write(), dice.random() * 0.5
        self._launch()

        def writes() -> bool:
            return self._last_write() > before or self._is_ready()

        while not await self._until(writes, START_WITHIN_S, "it wrote nothing"):
            self._launch()
        await asyncio.sleep(delay_s)
        self.kill()

    def kill(self, dice: random.Random | None = None) -> None:
        """SIGKILL for the front end alone, after which Ray must end by itself; with dice, for every process, in any
        order."""
        process, self.url = self._running(), None
        family = [process.pid, *(one for one, _ in descendants(process.pid))]
        for victim in dice.sample(family, len(family)) if dice else [process.pid]:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._killed = family
        process.wait()
        self._process = None

    async def until_gone(self) -> None:
        """Nobody of the life that was killed has a state file open. Raises `AssertionError` if that takes too long."""
        began = time.monotonic()
        while any(title_of(one).startswith(KEEPERS) for one in self._killed):
            assert time.monotonic() < began + GONE_WITHIN_S, f"actors outlive their server by {GONE_WITHIN_S} s"
            await asyncio.sleep(PAUSE_S)
        self.ends_s.append(time.monotonic() - began)

    async def stop(self) -> None:
        """SIGTERM. Raises `AssertionError` if that is no orderly end."""
        process, self.url = self._running(), None
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, STOP_WITHIN_S)
        self._process = None
        assert code == 0, f"it ended with {code}:\n{self._last_words()}"

    async def close(self) -> None:
        """Whatever went wrong, nothing that was started here is left."""
        await self._client.close()
        if self._process is not None:
            self.kill(random.Random(0))

    def _launch(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MADAN_SARA_")}
        environment["MADAN_SARA_DELIVERY__ENABLED"] = "false"  # clients say what is sent
        with self._said.open("wb") as said, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=said, stderr=log, env=environment, start_new_session=True
            )

    def _is_ready(self) -> bool:
        said = self._said.read_text()
        return said.startswith("ready ") and said.endswith("\n")

    def _last_write(self) -> int:
        """When anything in the state directory was written last; 0 while there is nothing."""
        times = [0]
        for path in self.state.glob("*"):
            try:
                times.append(path.stat().st_mtime_ns)
            except FileNotFoundError:  # a log goes with the last who has it open
                continue
        return max(times)

    async def _until(self, is_so: Callable[[], bool], within_s: float, otherwise: str) -> bool:
        """False if Ray gave up starting before."""
        end = time.monotonic() + within_s
        while not is_so():
            if self._running().poll() is not None:
                assert RAY_GAVE_UP in self._last_words(), f"the server ended by itself:\n{self._last_words()}"
                return False
            assert time.monotonic() < end, f"{otherwise} within {within_s} s:\n{self._last_words()}"
            await asyncio.sleep(PAUSE_S)
        return True

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-LAST_WORDS:]


def title_of(process: int) -> str:
    """As it calls itself; nothing where it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
