"""Shards in threads around the real ledger, as `tests/actors` has them."""

from __future__ import annotations

from tests.actors.conftest import start

__all__ = ["start"]
