"""Some cases of `cuts`; `make faults` makes as many as one wants."""

from __future__ import annotations

import pytest

from tests.faults.cuts import cut_shards, damaged_shards

CASES = 60


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_shard_is_as_of_a_commit_wherever_its_machine_stops(seed: int) -> None:
    outcomes = await cut_shards(CASES, seed)
    assert len(outcomes) == 2, f"the cases are not of both kinds: {outcomes}"


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_damaged_shard_is_refused_or_as_it_was(seed: int) -> None:
    outcomes = await damaged_shards(CASES, seed)
    assert len(outcomes) == 2, f"the cases are not of both kinds: {outcomes}"
