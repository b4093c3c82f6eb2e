"""Shards in threads around the real ledger, as many as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.ledger import Ledger
from engine.config import default_settings
from tests.actors.threaded import Start, ThreadShard, audit, start_shards


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[ThreadShard] = []
    ledgers: list[tuple[Ledger, list[ThreadShard]]] = []

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
