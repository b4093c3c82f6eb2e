"""Redis with a Lua script for the caps, pipelined: a day's and a week's at once, exactly, and nothing else.

A sorted set a person holds the instants of their messages. The script knows no channels, gaps, duplicates, zones, money
or campaigns, and looks back only. The server is one process of its own on a Unix socket, and writes nothing down
before it answers (it can: `appendonly yes` with `appendfsync always`). A thousand people go in a pipeline, so nobody is
answered before the last of them is.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep, time

import redis

from bench.checks import DAILY_CAP, WEEKLY_CAP
from bench.peers.cap_asks import rates
from bench.peers.peer import Peer, PeerMissing

__all__ = ["PEER", "Caps", "redis_server"]

PIPELINED = 1_000
DAY_MS = 24 * 60 * 60 * 1000
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
SCRIPT = """
local now, day, week = tonumber(ARGV[1]), tonumber(ARGV[1]) - ARGV[2], tonumber(ARGV[1]) - 7 * ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', week)
local in_week = redis.call('ZCARD', KEYS[1])
if in_week >= tonumber(ARGV[4]) or redis.call('ZCOUNT', KEYS[1], '(' .. day, '+inf') >= tonumber(ARGV[3]) then
  return 0
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1)[1]
local number = last and tonumber(last) + 1 or 1
redis.call('ZADD', KEYS[1], now, number)
redis.call('PEXPIRE', KEYS[1], 7 * ARGV[2])
return 1
"""


class Caps:
    """Both caps of everyone, in a server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._script = client.register_script(SCRIPT)

    def admit(self, people: Sequence[str], now_ms: int | None = None) -> list[bool]:
        """Whether each may have one more message, which then counts from `now_ms`, or from now."""
        limits = (now_ms or int(time() * 1000), DAY_MS, DAILY_CAP, WEEKLY_CAP)
        admitted: list[bool] = []
        for first in range(0, len(people), PIPELINED):
            pipeline = self._client.pipeline(transaction=False)
            for person in people[first : first + PIPELINED]:
                self._script(keys=[person], args=limits, client=pipeline)
            admitted += [answer == 1 for answer in pipeline.execute()]
        return admitted


@contextmanager
def redis_server() -> Iterator[redis.Redis]:
    """A client of a server of its own, which ends with the block. Raises `PeerMissing`."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise PeerMissing("redis-server is missing: install it (Debian: apt-get install redis-server)")
    with tempfile.TemporaryDirectory(prefix="madan-sara-bench-") as folder:
        path = str(Path(folder) / "redis.sock")
        settings = ("--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder)
        server = subprocess.Popen([binary, *settings], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(unix_socket_path=path) as client:
                _wait_until_ready(client)
                yield client
        finally:
            server.terminate()
            try:
                server.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_ready(client: redis.Redis) -> None:
    give_up = perf_counter() + START_TIMEOUT_S
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError as error:
            if perf_counter() >= give_up:
                raise PeerMissing(f"redis-server was not ready after {START_TIMEOUT_S} s") from error
            sleep(0.02)


def _measure() -> list[float]:
    with redis_server() as client:
        return rates(lambda: Caps(client).admit)


PEER = Peer(
    does="checks",
    lacks=f"caps alone, in a Lua script, {PIPELINED:,} a pipeline: no channel gaps, duplicates, send times or money, "
    "and nothing is on the disk when it is answered",
    measure=_measure,
)
