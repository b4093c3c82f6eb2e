"""Some rounds of `kills`; `make faults` plays as many as one wants."""

from __future__ import annotations

import pytest

from actors.cluster import Cluster
from tests.faults.directories import damaged_directories
from tests.faults.kills import Plan, Round

PLANS = {
    "killed": Plan(strikes=3),
    "frozen": Plan(kinds=("shard", "ledger"), strikes=2, frozen_s=(0.5, 1.5), people=120, requests=5),
    "lost": Plan(strikes=0, lost_share=0.1, people=120, requests=5),
}


@pytest.mark.parametrize("name", PLANS)
async def test_what_clients_were_told_is_so(name: str, cluster: Cluster) -> None:
    outcome = await Round(cluster, f"faults-{name}", 1, PLANS[name]).play()
    assert outcome.counted["messages"] > 100


async def test_a_directory_that_is_damaged_is_refused_or_as_it_was(cluster: Cluster) -> None:
    """As the rounds before have left it."""
    outcomes = await damaged_directories(cluster, count=30, seed=1)
    assert outcomes["refused"] > 0
