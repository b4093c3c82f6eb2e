"""Columns for the kernels: a batch of recipients, as a shard has it in hand."""

from types import SimpleNamespace

import numpy as np
import pytest

import kernels
from bench.population import ZONES

RECIPIENTS = 10_000
NOON = 1_767_268_800  # 2026-01-01T12:00:00Z


@pytest.fixture(scope="session")
def batch() -> SimpleNamespace:
    """10,000 recipients with the zones of `bench.population`, on any set of channels; a fifth have counts."""
    kernels.warm_up()
    chance = np.random.default_rng(7)
    n = RECIPIENTS
    return SimpleNamespace(
        now=NOON,
        candidates=chance.integers(1, 128, n, dtype=np.uint8),
        customer_type=chance.integers(0, 2, n, dtype=np.uint8),
        device=chance.integers(0, 4, n, dtype=np.uint8),
        zone=chance.choice(np.array([kernels.ZONE_INDEX[name] for name in ZONES], dtype=np.uint16), n),
        quiet_start=np.full(n, 21 * 60, dtype=np.int16),
        quiet_end=np.full(n, 8 * 60, dtype=np.int16),
        spread=chance.integers(0, 2**63, n, dtype=np.uint64),
        preference_rank=np.full((n, 7), kernels.NOT_PREFERRED, dtype=np.uint8),
        preference_count=np.zeros(n, dtype=np.uint8),
        counts_row=np.where(chance.random(n) < 0.2, np.arange(n), 0).astype(np.uint32),
        delivered=chance.random((n, 7)),
        engaged=chance.random((n, 7)),
        factor_weights=np.array([0.3, 0.3, 0.2, 0.1, 0.1]),
        customer_type_factors=chance.random((2, 7)),
        prior_deliveries=5.0,
        rates=chance.random(7),
        device_factors=chance.random((4, 7)),
        urgency_factors=chance.random(7),
        hour_weights=chance.random((7, 2, 24)),
        tiers=np.zeros(7, dtype=np.int64),
        costs=np.arange(7, dtype=np.int64),
        order=np.zeros((n, 7), dtype=np.uint8),
        value=np.zeros((n, 7), dtype=np.int64),
        instant=np.zeros((n, 7), dtype=np.int64),
        day=np.zeros((n, 7), dtype=np.int32),
        offset=np.zeros((n, 7), dtype=np.int16),
    )
