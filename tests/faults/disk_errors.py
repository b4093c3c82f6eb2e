"""Writes and syncs that fail in a running shard or ledger, and a disk that is full, under clients with keys.

A strike is an error of one state file (`tests.faults.failing_disk`), from a byte or a call on. The process that meets
it must end itself, having said why. Half of the disks are mended at once; the others stay as they are until the next
life has said in words what is wrong. Mended, everything must go on with nobody's help.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import ray

from actors.cluster import Cluster
from actors.state_directory import ledger_path, shard_path
from engine.errors import ShardUnavailable
from engine.model import decode_campaign
from tests.faults.failing_disk import BROKEN, FULL, UNSYNCED, DiskError, FailingDisk
from tests.faults.kills import PAUSE_S, Plan, Round, process_of, until_ready

ERRORS = {"full": FULL, "write": BROKEN, "sync": UNSYNCED}
KINDS = tuple(f"{error} of {where}" for where in ("shard", "ledger") for error in (*ERRORS, "checkpoint"))
WITHIN_S = 120.0
ENDED = "what was changed could not be written down, so this process ends"


class DiskRound(Round):
    """A round whose strikes are errors of the disk."""

    within_s = 600.0

    def __init__(self, cluster: Cluster, disk: FailingDisk, name: str, seed: int, plan: Plan) -> None:
        super().__init__(cluster, name, seed, plan)
        self.disk = disk
        self.touched = 0

    async def strike_once(self, kind: str) -> None:
        what, _, where = kind.partition(" of ")
        shard = self.dice.randrange(len(self.cluster.shards)) if where == "shard" else None
        victim = self.cluster.ledger if shard is None else self.cluster.shards[shard]
        process = process_of(victim)
        async with self.failing(what, shard) as (error, is_lasting):
            await self.until(lambda: self.disk.failed > 0, shard, "no call failed")
            await self.until(lambda: not Path(f"/proc/{process}").exists(), shard, f"{process} did not end itself")
            check_last_words(process)
            if is_lasting:
                words = await self.words_of(shard)
                assert str(self.path_of(shard)) in words, f"{kind}: {words}"
                assert error is not FULL or "disk is full" in words or "room" in words, f"{kind}: {words}"
                self.outcome.counted["lives in vain"] += 1
        await until_ready(self.outreach)
        self.outcome.struck[kind] += 1

    @asynccontextmanager
    async def failing(self, what: str, shard: int | None) -> AsyncIterator[tuple[DiskError, bool]]:
        """Which error it is, and whether it is to last longer than the process that meets it."""
        path, dice = self.path_of(shard), self.dice
        is_checkpoint = what == "checkpoint"  # the one that writes the database itself
        error = dice.choice([*ERRORS.values()]) if is_checkpoint else ERRORS[what]
        part = "" if is_checkpoint else dice.choice(["", "-wal"] if error is UNSYNCED else ["", "-wal", ".last"])
        calls, size = (4, 0) if error is UNSYNCED else (12, 400 if part == ".last" else 60_000)
        left = dice.randrange(size if error.in_bytes else calls) // (4 if is_checkpoint else 1)
        is_lasting = not is_checkpoint and dice.random() < 0.5
        self.disk.fail(path.with_name(path.name + part), error, left, alone=is_checkpoint or bool(part))
        try:
            yield error, is_lasting
        finally:
            self.disk.mend()

    def path_of(self, shard: int | None) -> Path:
        directory = Path(self.cluster.settings.state_dir)
        return ledger_path(directory) if shard is None else shard_path(directory, shard)

    async def until(self, condition: Callable[[], bool], shard: int | None, or_else: str) -> None:
        """Has something written as long as it takes, for clients may have nothing left to ask."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not condition():
                    try:
                        await self.touch(shard)
                    except ShardUnavailable:
                        await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise AssertionError(f"{or_else} within {WITHIN_S:.0f} s") from None

    def touch(self, shard: int | None) -> Awaitable[None]:
        """Has the shard, or the ledger, write something that no client asks about."""
        self.touched += 1
        if shard is None:
            return self.outreach.put_campaign(decode_campaign(b"{}", f"{self.name}-touch-{self.touched % 20}"))
        people = (f"{self.name}-touch-{self.touched}-{number}" for number in range(10_000))
        person = next(one for one in people if self.outreach._router.shard_of_recipient(one) == shard)
        return self.outreach.put_recipient(person, b'{"contacts": {"email": "ana@example.com"}}')

    async def words_of(self, shard: int | None) -> str:
        """What is said while the file cannot be written; not what Ray says of a process that begins."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    try:
                        await self.touch(shard)
                    except ShardUnavailable as refusal:
                        if "cannot start" in refusal.detail:
                            return refusal.detail
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise AssertionError(f"nobody said within {WITHIN_S:.0f} s why it cannot start") from None


def check_last_words(process: int) -> None:
    """That it ended as it does where a commit failed, and not otherwise."""
    logs = Path(ray._private.worker._global_node.get_session_dir_path()) / "logs"
    said = "".join(log.read_text(errors="replace") for log in logs.glob(f"worker-*-{process}.err"))
    assert ENDED in said, f"process {process} ended, and said: {said[-500:]!r}"
