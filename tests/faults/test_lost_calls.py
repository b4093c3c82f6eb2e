"""One round in which Ray loses and delays calls; `make faults` plays as many as one wants."""

from __future__ import annotations

from tests.faults.lost_calls import LOGGED, lost_calls


async def test_what_clients_were_told_is_so_whatever_calls_ray_loses() -> None:
    outcome = await lost_calls(1, 1)
    assert outcome["messages"] > 100
    assert all(outcome[name] for name in LOGGED.values()), "Ray does not lose calls in every way any more"
