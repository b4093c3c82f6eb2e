"""A ledger that dies at any step and begins again from its file: nothing it answered is lost or counts twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actors.answers import ActorUnreachable
from actors.ledger import Ledger
from actors.standing import Demand, Report
from engine.errors import Conflict, ShardUnavailable
from tests.actors.test_lives import let_others_run
from tests.actors.test_publications import MANUAL, counts, rate
from tests.actors.test_recalls import COST, ROWS, decide_all, in_calls, make_campaign, money
from tests.actors.threaded import HeldCommits, Restart, Start, ThreadShard, audit
from tests.engine.paper import content

ROW = ROWS["total"][0]
TOTAL = (0, 0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - set by shards' threads
        await asyncio.sleep(0)


def limited(messages: int) -> dict[str, object]:
    return {"budget": {"total": money(messages * COST)}}


def scheduled(shards: list[ThreadShard], campaign_id: str = "c") -> int:
    return sum(shard.balances[campaign_id].messages for shard in shards)


# ---- a request for money ----------------------------------------------------------------------------------


async def dies_before(ledger: Ledger, shards: list[ThreadShard], restart: Restart) -> None:
    """The request finds a new life."""
    restarted = asyncio.create_task(restart(ledger))
    await decide_all_again(shards)
    await restarted


async def dies_asked(ledger: Ledger, shards: list[ThreadShard], restart: Restart) -> None:
    """While it waits for what another shard holds."""
    called, plain = asyncio.Event(), shards[0].release

    async def release(campaign_id: str, sequence: int, reopens: bool) -> Report:
        called.set()
        shards[0].release = plain  # type: ignore[method-assign]
        await asyncio.sleep(3600)
        raise AssertionError

    shards[0].release = release  # type: ignore[method-assign]
    deciding = asyncio.create_task(decide_all_again(shards))
    await called.wait()
    await restart(ledger)
    await deciding


async def dies_granted(ledger: Ledger, shards: list[ThreadShard], restart: Restart) -> None:
    """What it granted is in memory only."""
    commits = HeldCommits(ledger)
    deciding = asyncio.create_task(decide_all_again(shards))
    await until(lambda: ledger._book._accounts["c"].entries[1].sequence == 1)
    await commits.waiting.wait()
    await let_others_run()
    assert not deciding.done()
    await restart(ledger)
    await deciding


async def dies_durable(ledger: Ledger, shards: list[ThreadShard], restart: Restart) -> None:
    """The grant is on the disk, and the shard never hears of it."""
    restarted: asyncio.Future[Ledger] = asyncio.get_running_loop().create_future()

    def lose(demand: Demand) -> None:
        shards[1].lag = lambda demand: None
        life = asyncio.run_coroutine_threadsafe(restart(ledger), shards[1].loop).result(5)
        shards[1].loop.call_soon_threadsafe(restarted.set_result, life)
        raise ActorUnreachable("lost")

    shards[1].lag = lose
    await decide_all_again(shards)
    life = await restarted
    assert life._book._accounts["c"].entries[1].sequence >= 1


async def decide_all_again(shards: list[ThreadShard]) -> None:
    assert await asyncio.wrap_future(shards[1].decide("c", [ROW] * 95)) == ["scheduled"] * 90 + ["blocked"] * 5


Death = Callable[[Ledger, list[ThreadShard], Restart], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("dies", [dies_before, dies_asked, dies_granted, dies_durable])
async def test_a_grant_is_given_once_wherever_the_ledger_dies(start: Start, restart: Restart, dies: Death) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", limited(100)))
    assert await decide_all(shards, "c", [(0, [ROW] * 10)]) == Counter(scheduled=10)
    assert shards[0].balances["c"].held[TOTAL]
    await dies(ledger, shards, restart)
    ledger = shards[0].ledger
    await audit(ledger, shards)
    assert await decide_all(shards, "c", [(0, [ROW]), (1, [ROW])]) == Counter(blocked=2)
    await ledger.reopen("c")
    assert await ledger.spent("c") == {TOTAL: 100 * COST}
    assert scheduled(shards) == 100


async def test_a_repeated_demand_gets_the_answer_of_the_life_before(start: Start, restart: Restart) -> None:
    ledger, _ = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(1000)}, "limits": {"per_minute": 1}}))
    minutes = {(4, minute): 1 for minute in range(50)}
    await ledger.acquire(Demand(0, 1, 1, 1, "c", {}, minutes, 1))
    await ledger.acquire(Demand(0, 1, 2, 1, "c", {(4, minute): 1 for minute in range(20)}, {TOTAL: 7}, 2))
    demand = Demand(1, 1, 1, 1, "c", {}, {TOTAL: 5, (4, 10): 1}, 1)
    answers = [await ledger.acquire(demand)]
    for _ in range(2):
        ledger = await restart(ledger)
        answers.append(await ledger.acquire(demand))
    assert answers == [answers[0]] * 3
    assert len(answers[0]) > 10  # the full minutes around are told again
    with pytest.raises(ShardUnavailable, match="since its request 1"):
        await ledger.acquire(Demand(0, 1, 1, 1, "c", {}, minutes, 1))


async def test_a_repeated_demand_does_not_queue_behind_one_that_waits_for_it(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", limited(10)))
    first = Demand(0, 1, 1, 1, "c", {}, {TOTAL: 8 * COST}, 1)
    grants = await ledger.acquire(first)
    ledger = await restart(ledger)
    recalled = asyncio.Event()

    async def release(campaign_id: str, sequence: int, reopens: bool) -> Report:
        recalled.set()
        assert await ledger.acquire(first) == grants
        return Report(1, {TOTAL: 8 * COST}, 8, 2)

    shards[0].release = release  # type: ignore[method-assign]
    other = ledger.acquire(Demand(1, 1, 1, 1, "c", {}, {TOTAL: 9 * COST}, 1))
    assert await asyncio.wait_for(other, 1) == {TOTAL: (2 * COST, True, 0)}
    assert recalled.is_set()
    shards[0].balances["c"].spent[TOTAL] = 8 * COST


@pytest.mark.parametrize("seed", range(3))
async def test_killed_again_and_again_under_load_it_spends_all_and_not_one_more(
    start: Start, restart: Restart, seed: int
) -> None:
    dice = random.Random(seed)
    ledger, shards = await start(*[ThreadShard] * 3)
    campaigns = [f"c-{index}" for index in range(4)]
    for campaign_id in campaigns:
        await ledger.put_campaign(make_campaign(campaign_id, limited(150)))
    futures = []
    for campaign_id in campaigns:
        for shard, rows in in_calls(ROW, 400, seed, shards=3):
            futures.append(asyncio.wrap_future(shards[shard].decide(campaign_id, rows)))
    dice.shuffle(futures)
    kills = 0
    while not all(future.done() for future in futures):
        for _ in range(dice.randrange(40)):
            await asyncio.sleep(0)
        if kills < 12:
            ledger = await restart(ledger)
            kills += 1
            assert await ledger.audit() == []
    assert kills > 3
    assert {answer for future in futures for answer in future.result()} >= {"scheduled", "blocked"}
    for campaign_id in campaigns:
        while scheduled(shards, campaign_id) < 150:  # some calls met the ledger's death twice
            before = scheduled(shards, campaign_id)
            await decide_all(shards, campaign_id, [(shard, [ROW] * 60) for shard in range(3)])
            assert scheduled(shards, campaign_id) > before
        assert await decide_all(shards, campaign_id, [(shard, [ROW]) for shard in range(3)]) == Counter(blocked=3)
        await ledger.reopen(campaign_id)
        assert await ledger.spent(campaign_id) == {TOTAL: 150 * COST}


async def test_a_new_life_is_what_the_last_one_was(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 3, settings=MANUAL)
    for kind, (row, limits_of) in ROWS.items():
        await ledger.put_campaign(make_campaign(kind, limits_of(40)))
        await decide_all(shards, kind, in_calls(row, 60, seed=1, shards=3))
    await ledger.put_campaign(make_campaign("day", ROWS["day"][1](7)))  # below what is committed: ceilings
    await ledger.set_paused("total", True)
    await shards[1].register()
    await ledger.reopen("messages")
    shards[0].counts["total"] = counts(3, 2)
    await ledger.set_clock(12_345)
    again = await restart(ledger)
    assert content(again._book) == content(ledger._book)
    assert await again.list_campaigns() == [course.standing for _, course in sorted(ledger._courses.items())]
    assert await again.now() == 12_345
    assert await again.introduce(0) == (ledger._file.identity, ledger._file.secret, 1)
    before, after = ledger._publications.latest, again._publications.latest
    assert after.number == before.number
    assert after.figures.campaigns.keys() == before.figures.campaigns.keys() == {"total"}
    for campaign_id in ("total", "day"):
        for one, other in zip(after.figures.of(campaign_id), before.figures.of(campaign_id), strict=True):
            assert one.tobytes() == other.tobytes()
    assert await again.audit() == []


# ---- nothing is answered before it is durable -------------------------------------------------------------

CALLS: dict[str, Callable[[Ledger], Coroutine[Any, Any, Any]]] = {
    "put": lambda ledger: ledger.put_campaign(make_campaign("d", {})),
    "put again": lambda ledger: ledger.put_campaign(make_campaign("c", limited(7))),
    "pause": lambda ledger: ledger.set_paused("c", True),
    "clock": lambda ledger: ledger.set_clock(5),
    "register": lambda ledger: ledger.register(0, 2, {}),
    "acquire": lambda ledger: ledger.acquire(Demand(0, 1, 1, 1, "c", {}, {TOTAL: 5}, 1)),
}
READINGS: dict[str, Callable[[Ledger], Coroutine[Any, Any, Any]]] = {
    "introduce": lambda ledger: ledger.introduce(0),
    "elsewhere": lambda ledger: ledger.elsewhere("c", 1),
    "reopen": lambda ledger: ledger.reopen("c"),
    "audit": lambda ledger: ledger.audit(),
    "spent": lambda ledger: ledger.spent("c"),
    "get": lambda ledger: ledger.get_campaign("c"),
    "list": lambda ledger: ledger.list_campaigns(),
    "earlier life": lambda ledger: ledger.acquire(Demand(0, 0, 1, 1, "c", {}, {TOTAL: 5}, 1)),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_change_is_answered_once_it_is_durable(start: Start, restart: Restart, call: str) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=MANUAL)
    await ledger.put_campaign(make_campaign("c", limited(10)))
    before = content(ledger._book)
    commits = HeldCommits(ledger)
    answer = asyncio.ensure_future(CALLS[call](ledger))
    await commits.waiting.wait()
    for _ in range(5):
        await let_others_run()
    assert not answer.done()
    assert [shard.link.versions for shard in shards] == [{"c": 1}] * 2  # and no shard has heard of it
    assert await ledger.now() == 0
    again = await restart(ledger)
    answer.cancel()
    assert content(again._book) == before  # it never came to be
    await CALLS[call](again)
    for shard in shards:
        await shard.register()


@pytest.mark.parametrize("call", READINGS)
async def test_what_is_only_read_is_answered_once_it_is_durable(start: Start, call: str) -> None:
    ledger, _ = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", limited(10)))
    commits = HeldCommits(ledger)
    changing = asyncio.create_task(ledger.put_campaign(make_campaign("d", {})))
    await commits.waiting.wait()
    answer = asyncio.ensure_future(READINGS[call](ledger))
    for _ in range(5):
        await let_others_run()
    assert not answer.done()
    commits.may_go.set()
    await asyncio.gather(answer, changing, return_exceptions=True)
    assert answer.done()


async def test_many_requests_share_a_commit_and_write_what_they_are_about(start: Start) -> None:
    ledger, _ = await start(ThreadShard)
    ids = [f"c-{index}" for index in range(100)]
    for campaign_id in ids:
        await ledger.put_campaign(make_campaign(campaign_id, {**limited(10), "limits": {"per_minute": 1}}))
    minutes = {(4, minute): 1 for minute in range(2000)}
    await ledger.acquire(Demand(0, 1, 1, 1, "c-0", {}, minutes, 1))
    before, commits = ledger._file._file.sequence, HeldCommits(ledger)
    commits.may_go.set()
    demands = [Demand(0, 1, 2, 1, campaign_id, {}, {TOTAL: 5}, 2) for campaign_id in ids]
    await asyncio.gather(*(ledger.acquire(demand) for demand in demands))
    assert ledger._file._file.sequence <= before + 2
    assert sum(map(len, commits.rows)) < 100 * 100  # the minutes that it keeps are none of it


# ---- changes ----------------------------------------------------------------------------------------------


async def test_a_change_that_some_shards_took_is_carried_to_the_others(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", limited(10)))
    shards[1].hung.set()
    change = asyncio.create_task(ledger.put_campaign(make_campaign("c", limited(20))))
    await until(lambda: shards[0].link.versions["c"] == 2)
    asking = shards[0].decide("c", [ROW] * 25)
    ledger = await restart(ledger)
    change.cancel()
    assert [(one.version, one.paused) for one in await ledger.list_campaigns()] == [(2, False)]
    await let_others_run()
    assert not asking.done()  # it decides by the new rules, which are not in force
    assert shards[1].link.versions["c"] == 1
    shards[1].hung.clear()
    await shards[1].register()  # the call that hangs is given up
    assert await asyncio.wrap_future(asking) == ["scheduled"] * 20 + ["blocked"] * 5
    assert shards[1].link.versions["c"] == 2
    await audit(ledger, shards)


async def test_a_campaign_that_no_shard_heard_of_is_carried_to_them(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    for shard in shards:
        shard.hung.set()
    change = asyncio.create_task(ledger.put_campaign(make_campaign("c", limited(10))))
    await until(lambda: "c" in ledger._courses and ledger._courses["c"].standing is not None)
    await ledger.get_campaign("c")  # durable
    for shard in shards:
        shard.hung.clear()
    ledger = await restart(ledger)
    change.cancel()
    await until(lambda: ledger._courses["c"].in_force == 1)
    assert await decide_all(shards, "c", [(0, [ROW] * 6), (1, [ROW] * 6)]) == Counter(scheduled=10, blocked=2)


async def test_a_campaign_that_was_held_still_for_a_change_goes_on(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", limited(10)))
    shards[1].hung.set()
    change = asyncio.create_task(ledger.put_campaign(make_campaign("c", {**limited(10), "timezone": "Asia/Kathmandu"})))
    await until(lambda: "c" in shards[0].frozen)
    assert await asyncio.wrap_future(shards[0].decide("c", [ROW])) == ["unavailable"]
    shards[1].hung.clear()
    ledger = await restart(ledger)
    change.cancel()
    await until(lambda: not ledger._courses["c"].held_still)
    assert (await ledger.get_campaign("c")).campaign.timezone == "UTC"
    assert await decide_all(shards, "c", [(0, [ROW] * 3), (1, [ROW] * 3)]) == Counter(scheduled=6)
    ledger = await restart(ledger)
    assert not ledger._courses["c"].held_still


async def test_who_was_told_that_there_is_no_more_hears_of_what_came_back(start: Start, restart: Restart) -> None:
    """The shard's new life has registered and the ledger dies before it told the others."""
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", limited(10)))
    assert await decide_all(shards, "c", [(0, [ROW] * 8), (1, [ROW] * 3)]) == Counter(scheduled=10, blocked=1)
    shards[0].balances["c"].spent[TOTAL] -= 4 * COST  # cancelled, and the word of it died with the life
    shards[1].hung.set()
    await shards[0].register()
    shards[1].hung.clear()
    ledger = await restart(ledger)
    await until(lambda: not ledger._courses["c"].reopens)
    assert await decide_all(shards, "c", [(1, [ROW] * 6)]) == Counter(scheduled=4, blocked=2)


# ---- lives, clock, publications ---------------------------------------------------------------------------


async def test_lives_of_shards_go_on_over_lives_of_the_ledger(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2)
    await shards[0].register()
    ledger = await restart(ledger)
    assert [(await ledger.introduce(shard)).lives for shard in (0, 1)] == [2, 1]
    for shard in shards:
        await shard.register()


async def test_the_clock_goes_on_and_never_back(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=MANUAL)
    await ledger.set_clock(100)
    shards[0].hung.set()
    moving = asyncio.create_task(ledger.set_clock(200))
    await let_others_run()
    ledger = await restart(ledger)
    moving.cancel()
    shards[0].hung.clear()
    assert await ledger.now() == 100  # nobody was told of 200
    with pytest.raises(Conflict):
        await ledger.set_clock(99)
    await ledger.set_clock(200)
    assert await (await restart(ledger)).now() == 200


async def test_a_new_life_publishes_no_worse_figures_while_a_shard_is_down(start: Start, restart: Restart) -> None:
    ledger, shards = await start(*[ThreadShard] * 2, settings=MANUAL)
    shards[0].counts["c"], shards[1].counts["c"] = counts(2, 2), counts(2, 0)
    await ledger.set_clock(100)
    assert [rate(shard, "c") for shard in shards] == [0.5, 0.5]
    shards[0].alive = False
    ledger = await restart(ledger)
    await ledger.set_clock(100)
    assert (rate(shards[1], "c"), shards[1].heard[-1].number) == (0.5, 2)
    await shards[0].register()
    assert (rate(shards[0], "c"), shards[0].heard[-1].number) == (0.5, 2)
