"""Checking a state directory: everything in it is read as a start would read it, and nothing is changed.

What is proved, by which rule of the design (section 8): every row and page is as it was written and none is missing,
and the shard can be read from them (1, 6); one life wrote last (7); what each shard spent is covered by what the ledger
granted it, and the ledger balances and is within the limits (3, 9).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from actors.ledger_file import KIND, LedgerFile
from actors.life import MESSAGES_INCARNATION, read_into
from actors.state_directory import ledger_path, shard_path
from actors.state_file import StateFile
from engine.budget_manager import Bucket, Grants
from engine.config import default_settings
from engine.errors import ShardUnavailable, StateFault
from engine.orchestrator import Orchestrator

__all__ = ["Checked", "check_directory"]

LOCK_TIMEOUT_S = 1.0

RESTORE = "Put the whole directory back from one backup"
NOT_THIS = "Name the directory of a server's state; if this is one, put it back whole from one backup"


class Checked(NamedTuple):
    """What is in a file that is as it should be."""

    file: str
    commits: int
    holds: str


class _NoLedger:
    """Nothing is decided here, so nobody is asked."""

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        raise ShardUnavailable("A state that is checked spends nothing.")

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        raise ShardUnavailable("A state that is checked spends nothing.")


async def check_directory(directory: Path) -> AsyncIterator[Checked]:
    """Checks the ledger's file and then each shard's; says what is in each. Raises the first `StateFault`.

    A directory that a server uses is refused.
    """
    path = ledger_path(directory)
    if not path.exists():
        raise StateFault(str(path), None, "it is missing", NOT_THIS)
    async with _inspected(path, KIND, None) as file:
        ledger = await LedgerFile.read(file)
        if faults := ledger.book.audit():
            raise StateFault(str(path), None, f"the budget does not balance: {faults[0]}", RESTORE)
        identity = file.identity
        yield Checked(path.name, file.sequence, f"{len(ledger.courses):,} campaigns")
    for shard in range(len(ledger.reports)):
        path = shard_path(directory, shard)
        if not path.exists():
            if ledger.book.incarnation(shard):
                raise StateFault(str(path), None, "it is missing", RESTORE)
            continue
        async with _inspected(path, f"shard {shard}", identity) as file:
            core = Orchestrator(MESSAGES_INCARNATION, default_settings(), _NoLedger(), ledger.secret)
            await read_into(core, file)
            recipients, messages = core.sizes()
            _check_money(path, shard, core, ledger)
            holds = f"{recipients:,} recipients, {messages:,} messages, state {core.state_hash()}"
            yield Checked(path.name, file.sequence, holds)


@asynccontextmanager
async def _inspected(path: Path, kind: str, identity: bytes | None) -> AsyncIterator[StateFile]:
    file = await StateFile.inspect(path, kind, identity, lock_timeout_s=LOCK_TIMEOUT_S)
    try:
        yield file
    finally:
        await file.close()


def _check_money(path: Path, shard: int, core: Orchestrator, ledger: LedgerFile) -> None:
    """No more is spent than the ledger knows of or granted, where there is a limit."""
    for campaign_id, spent in core.release_all().items():
        covered = ledger.book.covered(campaign_id, shard)
        for bucket, amount in spent.items():
            if bucket in covered and amount > covered[bucket]:
                what = f"{campaign_id} {bucket}: {amount} is spent, and the ledger granted {covered[bucket]}"
                raise StateFault(str(path), None, what, RESTORE)
