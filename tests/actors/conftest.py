"""Shards in threads around the real ledger, as many as a test wants."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.ledger import Ledger
from engine.config import default_settings
from tests.actors.threaded import Restart, Start, ThreadShard, audit, crash, open_ledger, start_shards


@pytest.fixture
def ledgers() -> list[tuple[Ledger, list[ThreadShard]]]:
    """Those that live, each with its shards."""
    return []


@pytest.fixture
async def restart(tmp_path: Path, ledgers: list[tuple[Ledger, list[ThreadShard]]]) -> Restart:
    """Kills a ledger, and begins its next life from what is on the disk then."""
    lives = itertools.count(1)

    async def restart(ledger: Ledger) -> Ledger:
        (index,) = (index for index, (one, _) in enumerate(ledgers) if one is ledger)
        shards, directory = ledgers[index][1], tmp_path / f"life-{next(lives)}"
        await crash(ledger, shards, directory)
        ledgers[index] = (await open_ledger(ledger.settings, shards, directory), shards)
        return ledgers[index][0]

    return restart


@pytest.fixture
async def start(tmp_path: Path, ledgers: list[tuple[Ledger, list[ThreadShard]]]) -> AsyncIterator[Start]:
    started: list[ThreadShard] = []

    async def start(*kinds: type[ThreadShard], settings: object = None) -> tuple[Ledger, list[ThreadShard]]:
        directory = tmp_path / f"ledger-{len(ledgers)}"
        directory.mkdir()
        ledger, shards = await start_shards(settings or default_settings(), kinds, directory)  # type: ignore[arg-type]
        started.extend(shards)
        ledgers.append((ledger, shards))
        return ledger, shards

    yield start
    for shard in started:
        shard.main.shutdown(cancel_futures=True)
        shard.second.shutdown(cancel_futures=True)
    for ledger, shards in ledgers:
        await audit(ledger, shards)
        await ledger.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
