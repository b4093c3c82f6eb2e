"""What seeded faults showed to be untested: late, lost and overtaken words between ledger, shards and clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.answers import ActorGone, ActorUnreachable
from actors.gather import Gatherer
from actors.standing import Demand, Part, Report
from engine.errors import Conflict, MadanSaraError, ShardUnavailable
from tests.actors.test_recalls import COST, QUICK, ROWS, decide_all, make_campaign, money
from tests.actors.threaded import Start, ThreadShard

ROW = ROWS["total"][0]
TURNS_OF_THE_LOOP = 20


async def let_others_run() -> None:
    for _ in range(TURNS_OF_THE_LOOP):
        await asyncio.sleep(0)


async def test_rules_that_were_replaced_get_no_money(start: Start) -> None:
    ledger, _ = await start(*[ThreadShard] * 2)
    for total in (10, 20):
        await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(total)}}))
    with pytest.raises(ShardUnavailable, match="replaced"):
        await ledger.acquire(Demand(0, 1, 1, 1, "c", {}, {(0, 0): 5}, 1))
    assert await ledger.acquire(Demand(0, 1, 1 + 1, 2, "c", {}, {(0, 0): 5}, 1 + 1)) == {(0, 0): (5, False, False)}


async def test_rules_that_are_not_in_force_yet_wait_for_money(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=QUICK)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(10)}}))
    shards[0].hung.set()
    with pytest.raises(ShardUnavailable):
        await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(20)}}))
    waiting = asyncio.create_task(ledger.acquire(Demand(1, 1, 1, 2, "c", {}, {(0, 0): 20}, 1)))
    await let_others_run()
    assert not waiting.done()
    shards[0].hung.clear()
    await shards[0].register()
    assert await waiting == {(0, 0): (20, True, 0)}


async def test_a_recall_of_a_dead_holder_waits_for_its_next_life(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(1000)}}))
    await decide_all(shards, "c", [(0, [ROW] * 2)])
    shards[0].alive = False
    decided = asyncio.create_task(decide_all(shards, "c", [(1, [ROW] * 400)]))
    await shards[0].called_in_vain.wait()
    await let_others_run()
    await shards[0].register()
    assert (await decided)["scheduled"] == (1000 - 2 * COST) // COST


async def test_what_a_shard_holds_that_is_gone_for_good_is_not_granted_again(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(1000)}}))
    await decide_all(shards, "c", [(0, [ROW] * 2)])
    held = shards[0].balances["c"].held[(0, 0)]

    async def gone(thread: ThreadPoolExecutor, work: Callable[[], Report]) -> Report:
        raise ActorGone("gone")

    shards[0].on = gone  # type: ignore[method-assign]
    affordable = (1000 - held - 2 * COST) // COST
    decided = await decide_all(shards, "c", [(1, [ROW])] * affordable)
    assert decided == Counter(scheduled=affordable)
    assert await decide_all(shards, "c", [(1, [ROW])]) == Counter(unavailable=1)
    assert await ledger.audit() == []


async def test_a_change_waits_for_a_shard_that_is_down(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=QUICK)
    await ledger.put_campaign(make_campaign("c", {}))
    shards[0].alive = False
    with pytest.raises(ShardUnavailable, match="in force once"):
        await ledger.put_campaign(make_campaign("c", {"name": "new"}))
    await shards[0].register()
    await ledger.put_campaign(make_campaign("c", {"name": "newer"}))


async def test_messages_of_a_life_that_is_over_fix_the_campaign(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(1000)}}))
    await decide_all(shards, "c", [(0, [ROW])])
    await shards[0].register()
    with pytest.raises(Conflict):
        await ledger.put_campaign(make_campaign("c", {"timezone": "Asia/Kathmandu", "budget": {"total": money(1000)}}))


async def test_while_a_shard_is_down_nothing_that_messages_fix_is_changed(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {}))
    shards[0].alive = False
    with pytest.raises(ShardUnavailable, match="nobody knows"):
        await ledger.put_campaign(make_campaign("c", {"timezone": "Asia/Kathmandu"}))
    assert (await ledger.get_campaign("c")).version == 1
    assert await decide_all(shards, "c", [(1, [ROW])]) == Counter(scheduled=1)


async def test_a_report_of_a_life_that_ended_meanwhile_is_nobodys(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {}))
    ends, plain = asyncio.Event(), shards[1].freeze

    async def freeze(campaign_id: str) -> Report:
        await ends.wait()
        return await plain(campaign_id)

    shards[1].freeze = freeze  # type: ignore[method-assign]
    change = asyncio.create_task(ledger.put_campaign(make_campaign("c", {"timezone": "Asia/Kathmandu"})))
    while "c" not in shards[0].frozen:  # noqa: ASYNC110 - set by the shard's thread
        await asyncio.sleep(0)
    await let_others_run()
    await shards[0].register()
    ends.set()
    await change
    assert await ledger.audit() == []


async def test_a_pause_waits_for_the_change_before_it(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {}))
    shards[0].hung.set()
    change = asyncio.create_task(ledger.put_campaign(make_campaign("c", {"name": "new"})))
    await let_others_run()
    pause = asyncio.create_task(ledger.set_paused("c", True))
    await let_others_run()
    assert (await ledger.get_campaign("c")).version == 2
    shards[0].hung.clear()
    await shards[0].register()
    await asyncio.gather(change, pause)
    standing = await ledger.get_campaign("c")
    assert (standing.campaign.name, standing.paused, standing.version) == ("new", True, 3)


async def test_a_failed_call_fails_every_one_of_its_parts() -> None:
    may_answer = asyncio.Event()

    async def fail(parts: list[Part]) -> list[bytes | MadanSaraError]:
        await may_answer.wait()
        raise ActorUnreachable("down")

    gatherer = Gatherer(fail)
    asking = [asyncio.create_task(gatherer.ask(("c", b""))) for _ in range(4)]
    await let_others_run()
    may_answer.set()
    answers = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 5)
    assert [type(answer) for answer in answers] == [ActorUnreachable] * 4
