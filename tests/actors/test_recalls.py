"""The protocol between ledger and shards: exact on any number of shards, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from actors.answers import ActorGone, ActorUnreachable
from actors.standing import Demand
from actors.timeouts import ACQUIRE_ATTEMPTS, Timeouts
from engine.config import default_settings
from engine.errors import Conflict, ShardUnavailable, UnknownCampaign
from engine.model import Campaign, decode_campaign
from tests.actors.threaded import GoneShard, Row, Start, ThreadShard, audit

COST = 3
DAY = 20_000
ROWS: dict[str, tuple[Row, Callable[[int], dict[str, object]]]] = {
    "total": ([((0, 0), COST)], lambda k: {"budget": {"total": money(k * COST)}}),
    "channel": ([((0, 0), COST), ((1, 1), COST)], lambda k: {"budget": {"per_channel": {"sms": money(k * COST)}}}),
    "day": ([((2, DAY), COST), ((3, DAY), 1)], lambda k: {"budget": {"daily": money(k * COST)}}),
    "messages": ([((0, 0), COST), ((3, DAY), 1)], lambda k: {"limits": {"daily_messages": k}}),
}
QUICK = msgspec.structs.replace(
    default_settings(), limits=msgspec.structs.replace(default_settings().limits, shard_timeout_ms=400)
)


def money(micro: int) -> str:
    return f"{micro // 10**6}.{micro % 10**6:06}"


def make_campaign(campaign_id: str, fields: dict[str, object]) -> Campaign:
    return decode_campaign(msgspec.json.encode(fields), campaign_id)


async def decide_all(shards: list[ThreadShard], campaign_id: str, calls: list[tuple[int, list[Row]]]) -> Counter[str]:
    futures = [asyncio.wrap_future(shards[shard].decide(campaign_id, rows)) for shard, rows in calls]
    counts = Counter(answer for answers in await asyncio.gather(*futures) for answer in answers)
    await audit(shards[0].ledger, shards)
    return counts


def in_calls(row: Row, count: int, seed: int, shards: int = 4) -> list[tuple[int, list[Row]]]:
    """`count` messages for random shards in calls of random sizes."""
    dice = random.Random(seed)
    calls = []
    while count:
        size = min(count, dice.choice([1, 1, 2, 5, 17]))
        calls.append((dice.randrange(shards), [row] * size))
        count -= size
    return calls


@pytest.mark.parametrize("kind", ROWS)
async def test_exactly_what_can_be_paid_is_scheduled(start: Start, kind: str) -> None:
    ledger, shards = await start(*[ThreadShard] * 4)
    row, limits_of = ROWS[kind]
    for k in range(51):
        campaign_id = f"{kind}-{k}"
        await ledger.put_campaign(make_campaign(campaign_id, limits_of(k)))
        counts = await decide_all(shards, campaign_id, in_calls(row, 10 * k + 5, seed=k))
        assert counts == Counter(scheduled=k, blocked=9 * k + 5)
    assert await ledger.audit() == []


async def test_several_limits_at_once_and_unequal_costs_never_overspend(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 4)
    limits = {"budget": {"total": money(1000), "daily": money(300), "per_channel": {"sms": money(400)}}}
    await ledger.put_campaign(make_campaign("c", limits))
    dice = random.Random(7)
    calls = []
    for _ in range(120):
        cost, channel, day = dice.randint(1, 9), dice.randrange(3), DAY + dice.randrange(5)
        calls.append((dice.randrange(4), [[((0, 0), cost), ((1, channel), cost), ((2, day), cost), ((3, day), 1)]] * 3))
    await decide_all(shards, "c", calls)
    spent = sum((shard.balances["c"].spent for shard in shards), Counter[tuple[int, int]]())
    assert spent[(0, 0)] <= 1000
    assert spent[(1, 1)] <= 400
    assert all(amount <= 300 for (bucket, _), amount in spent.items() if bucket == 2)
    assert spent[(0, 0)] > 990
    assert await ledger.audit() == []


async def test_a_lost_answer_is_given_again(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    asked: Counter[int] = Counter()

    def lose_the_first(demand: Demand) -> None:
        asked[demand.sequence] += 1
        if asked[demand.sequence] == 1:
            raise ActorUnreachable("lost")

    shards[0].lag = lose_the_first
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(10 * COST)}}))
    row = ROWS["total"][0]
    assert await decide_all(shards, "c", [(0, [row] * 4), (1, [row] * 9)]) == Counter(scheduled=10, blocked=3)
    assert asked[1] == 2
    assert await ledger.audit() == []


async def test_a_grant_that_never_arrives_is_given_up_and_goes_to_others(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)

    def lose(demand: Demand) -> None:
        raise ActorUnreachable("lost")

    shards[0].lag = lose
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(10 * COST)}}))
    row = ROWS["total"][0]
    assert await decide_all(shards, "c", [(0, [row] * 10)]) == Counter(unavailable=10)
    assert await decide_all(shards, "c", [(1, [row] * 12)]) == Counter(scheduled=10, blocked=2)
    assert await ledger.audit() == []


async def test_a_holder_that_hangs_makes_others_unavailable_and_never_over_budget(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=QUICK)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(100 * COST)}}))
    row = ROWS["total"][0]
    assert await decide_all(shards, "c", [(0, [row] * 10)]) == Counter(scheduled=10)
    shards[0].hung.set()
    assert await decide_all(shards, "c", [(1, [row] * 90)]) == Counter(unavailable=90)
    # A smaller need is met from what is free.
    assert await decide_all(shards, "c", [(1, [row] * 60)]) == Counter(scheduled=60)


async def test_what_a_dead_shard_held_is_granted_once_its_next_life_says_what_it_spent(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(1000)}}))
    row = ROWS["total"][0]
    await decide_all(shards, "c", [(0, [row] * 2)])
    assert shards[0].balances["c"].held[(0, 0)] > 0
    shards[0].alive = False
    decided = asyncio.create_task(decide_all(shards, "c", [(1, [row] * 400)]))
    await shards[0].called_in_vain.wait()
    await shards[0].register()
    assert (await decided)["scheduled"] == 1000 // COST - 2
    assert await decide_all(shards, "c", [(0, [row])]) == Counter(blocked=1)
    assert (await ledger.spent("c"))[(0, 0)] == 1000 // COST * COST
    assert await ledger.audit() == []


async def test_a_change_is_not_in_force_while_a_shard_is_gone(start: Start) -> None:
    ledger, _ = await start(ThreadShard, GoneShard, settings=QUICK)
    with pytest.raises(ShardUnavailable, match="in force once"):
        await ledger.put_campaign(make_campaign("c", {}))


async def test_without_a_ledger_held_slices_go_on_and_then_nobody_guesses(start: Start) -> None:
    ledger, shards = await start(ThreadShard)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(100 * COST)}}))
    row = ROWS["total"][0]
    assert await decide_all(shards, "c", [(0, [row] * 10)]) == Counter(scheduled=10)
    held = shards[0].balances["c"].held[(0, 0)] // COST
    assert held > 0

    def die(demand: Demand) -> None:
        raise ActorGone("the ledger is gone for good")

    shards[0].lag = die
    assert await decide_all(shards, "c", [(0, [row] * held)]) == Counter(scheduled=held)
    assert await decide_all(shards, "c", [(0, [row])]) == Counter(unavailable=1)


async def test_an_earlier_life_is_told_that_it_is_over(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(5 * COST)}}))
    await ledger.register(0, 2, {})
    assert await decide_all(shards, "c", [(0, [ROWS["total"][0]])]) == Counter(unavailable=1)
    assert not shards[0].alive


async def test_limits_change_while_shards_decide(start: Start) -> None:
    """Each change is in force once it is answered: a limit that was not there counts all that was spent before."""
    ledger, shards = await start(*[ThreadShard] * 4)
    row = ROWS["messages"][0]
    await ledger.put_campaign(make_campaign("c", {}))
    scheduled = 0
    for step, k in enumerate([None, 40, 25, 90, None, 300, 310]):
        limits = {} if k is None else {"limits": {"daily_messages": k}}
        under_way = asyncio.create_task(decide_all(shards, "c", in_calls(row, 30, seed=step)))
        await ledger.put_campaign(make_campaign("c", limits))
        before = (await under_way)["scheduled"] + scheduled
        counts = await decide_all(shards, "c", in_calls(row, 50, seed=100 + step))
        scheduled = before + counts["scheduled"]
        assert counts["unavailable"] == 0
        assert counts["scheduled"] == (50 if k is None else min(50, max(0, k - before)))
        assert await ledger.audit() == []


async def test_what_messages_fix_cannot_change_once_there_are_some(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"timezone": "UTC"}))
    await ledger.put_campaign(make_campaign("c", {"timezone": "Asia/Kathmandu"}))
    row = ROWS["total"][0]
    assert await decide_all(shards, "c", [(1, [row])]) == Counter(scheduled=1)
    for fields in ({"timezone": "UTC"}, {"category": "transactional"}, {"budget": {"currency": "EUR"}}):
        with pytest.raises(Conflict):
            await ledger.put_campaign(make_campaign("c", {"timezone": "Asia/Kathmandu", **fields}))
    assert (await ledger.get_campaign("c")).version == 2
    assert await decide_all(shards, "c", [(0, [row]), (1, [row])]) == Counter(scheduled=2)
    await ledger.put_campaign(make_campaign("c", {"timezone": "Asia/Kathmandu", "name": "other"}))


async def test_a_change_that_a_shard_does_not_take_in_time_comes_into_force_with_its_next_life(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=QUICK)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(2 * COST)}}))
    shards[0].hung.set()
    with pytest.raises(ShardUnavailable, match="in force once"):
        await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(4 * COST)}}))
    assert (await ledger.get_campaign("c")).version == 2
    decided = asyncio.create_task(decide_all(shards, "c", [(1, [ROWS["total"][0]] * 9)]))
    shards[0].hung.clear()
    await shards[0].register()
    assert await decided == Counter(scheduled=4, blocked=5)


async def test_pausing_is_a_version_of_its_own_and_twice_is_once(start: Start) -> None:
    ledger, _ = await start(ThreadShard)
    with pytest.raises(UnknownCampaign):
        await ledger.set_paused("c", True)
    await ledger.put_campaign(make_campaign("c", {}))
    for paused, version in [(True, 2), (True, 2), (False, 3)]:
        await ledger.set_paused("c", paused)
        standing = await ledger.get_campaign("c")
        assert (standing.paused, standing.version) == (paused, version)
    await ledger.set_paused("c", True)
    await ledger.put_campaign(make_campaign("c", {"name": "new"}))
    assert [one.paused for one in await ledger.list_campaigns()] == [True]


async def test_money_that_comes_back_is_found_by_those_who_were_told_that_there_is_none(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(4 * COST)}}))
    row = ROWS["total"][0]
    assert await decide_all(shards, "c", [(0, [row] * 4)]) == Counter(scheduled=4)
    assert await decide_all(shards, "c", [(1, [row])]) == Counter(blocked=1)
    cancelled = shards[0].balances["c"]
    cancelled.spent[(0, 0)] -= COST
    cancelled.held[(0, 0)] += COST
    await ledger.reopen("c")
    assert await decide_all(shards, "c", [(1, [row] * 2)]) == Counter(scheduled=1, blocked=1)
    assert await ledger.audit() == []


async def test_full_minutes_are_forgotten_only_where_a_place_came_back(start: Start) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"limits": {"per_minute": 100}}))
    for shard, count in ((0, 1), (1, 99)):
        await decide_all(shards, "c", [(shard, [[((4, DAY), 1)]] * count)])
    assert shards[0].recalls == [False]
    await ledger.reopen("c")
    assert (shards[0].recalls, shards[1].recalls) == ([False, True], [True])


async def test_the_manual_clock_goes_forward_only(start: Start) -> None:
    ledger, _ = await start(ThreadShard)
    assert await ledger.now() == 0
    await ledger.set_clock(100)
    await ledger.set_clock(100)
    with pytest.raises(Conflict, match="1970-01-01T00:01:40Z"):
        await ledger.set_clock(99)
    assert await ledger.now() == 100


def test_whoever_waits_for_others_outlasts_them() -> None:
    timeouts = Timeouts.of(default_settings())
    assert timeouts.release < timeouts.recall < timeouts.acquire
    assert ACQUIRE_ATTEMPTS * timeouts.acquire < timeouts.answer
    assert timeouts.release < timeouts.learning < timeouts.answer / 2
