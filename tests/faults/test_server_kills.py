"""One server that is killed in both ways, the front end alone and every process; `make faults` kills many."""

from __future__ import annotations

from tests.faults.kills import Plan
from tests.faults.server_kills import server_kills

PLAN = Plan(kinds=("front end", "every process"), strikes=2, people=120, requests=5)


async def test_what_clients_were_told_is_so_whatever_of_the_server_is_killed() -> None:
    outcome = await server_kills(2, 1, PLAN)
    assert outcome["messages"] > 100
    assert outcome["requests under way when struck"] > 0
