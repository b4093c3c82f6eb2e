"""Shards in threads around the real ledger, as `tests/actors` has them."""

from __future__ import annotations

from tests.actors.conftest import ledgers, start

__all__ = ["ledgers", "start"]
