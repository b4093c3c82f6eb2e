"""Words between shards and ledger that come late, twice or in another order: the book balances, and nobody is kept
waiting for long."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from actors.answers import ActorUnreachable
from actors.ledger import Ledger
from actors.recalls import Words
from actors.standing import Demand, Report
from engine.errors import ShardUnavailable
from engine.ledger import Superseded
from tests.actors.test_lives import let_others_run
from tests.actors.test_recalls import COST, ROWS, decide_all, make_campaign, money
from tests.actors.threaded import Start, ThreadShard

ROW = ROWS["total"][0]
TOTAL = (0, 0)


async def start_with_money(start: Start, messages: int = 10) -> tuple[Ledger, list[ThreadShard]]:
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(messages * COST)}}))
    return ledger, shards


def cancel(shard: ThreadShard, messages: int) -> None:
    """Money comes back that the shard was told is the last."""
    shard.balances["c"].spent[TOTAL] -= messages * COST


class LateReports:
    """The answers of a shard to recalls, each held until it is let go."""

    def __init__(self, shard: ThreadShard) -> None:
        self.computed: list[tuple[bool, Report]] = []
        self.may_go = {False: asyncio.Event(), True: asyncio.Event()}
        self.release = shard.release
        shard.release = self.release_late  # type: ignore[method-assign]

    async def release_late(self, campaign_id: str, sequence: int, reopens: bool) -> Report:
        report = await self.release(campaign_id, sequence, reopens)
        self.computed.append((reopens, report))
        await self.may_go[reopens].wait()
        return report


async def test_of_two_reports_the_later_counts_whichever_comes_first(start: Start) -> None:
    """Between them a message was cancelled, so that the earlier says more than was spent."""
    ledger, shards = await start_with_money(start)
    assert await decide_all(shards, "c", [(0, [ROW] * 10)]) == Counter(scheduled=10)
    late = LateReports(shards[0])
    reopening = asyncio.create_task(ledger.reopen("c"))
    while not late.computed:  # noqa: ASYNC110 - set by the shard's thread
        await asyncio.sleep(0)
    cancel(shards[0], 4)
    recall = asyncio.create_task(ledger._recalls.recall("c", [(0, 1)]))
    while len(late.computed) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    late.may_go[False].set()
    await recall
    assert await ledger.spent("c") == {TOTAL: 6 * COST}
    late.may_go[True].set()
    await reopening
    await let_others_run()
    assert await ledger.spent("c") == {TOTAL: 6 * COST}
    assert await ledger.audit() == []


async def test_a_report_that_overtook_a_demand_counts(start: Start) -> None:
    ledger, shards = await start_with_money(start)
    assert await decide_all(shards, "c", [(0, [ROW] * 10)]) == Counter(scheduled=10)
    demand = Demand(0, 1, 2, 1, "c", {TOTAL: 10 * COST}, {TOTAL: COST}, shards[0].link.next_word())
    cancel(shards[0], 4)
    await ledger.reopen("c")
    assert await ledger.acquire(demand) == {TOTAL: (COST, False, 0)}
    assert await ledger.spent("c") == {TOTAL: 6 * COST}
    assert await ledger.audit() == []


async def test_a_report_that_is_not_counted_silences_no_demand(start: Start) -> None:
    """It answers the recall of an older grant, and overtakes a demand that says the same."""
    ledger, shards = await start_with_money(start, messages=100)
    for count in (5, 30):
        assert await decide_all(shards, "c", [(0, [ROW] * count)]) == Counter(scheduled=count)
    assert shards[0].sequence == 2
    demand = Demand(0, 1, 3, 1, "c", {TOTAL: 35 * COST}, {TOTAL: COST}, shards[0].link.next_word())
    await ledger._recalls.recall("c", [(0, 1)])
    await ledger.acquire(demand)
    assert await ledger.spent("c") == {TOTAL: 35 * COST}
    assert await ledger.audit() == []


@pytest.mark.parametrize("word", [(0, 1, 4), (0, 1, 5), (0, 0, 9)])
def test_words_that_are_not_later_are_no_news(word: tuple[int, int, int]) -> None:
    shard, incarnation, number = word
    words = Words()
    words.note(0, 1, "c", 5)
    words.note(0, 1, "c", 3)
    assert not words.is_news(shard, incarnation, "c", number)
    assert words.is_news(1, incarnation, "c", number)
    assert words.is_news(shard, incarnation, "d", number)
    assert words.is_news(0, 2, "c", 1)


async def test_a_shard_that_was_taken_for_dead_after_it_registered_is_asked_again(start: Start) -> None:
    """Ray says so for a moment; no birth comes that a recall could wait for."""
    ledger, shards = await start_with_money(start, messages=100)
    assert await decide_all(shards, "c", [(0, [ROW])]) == Counter(scheduled=1)
    assert shards[0].balances["c"].held[TOTAL] > 0
    release, asked = shards[0].release, 0

    async def taken_for_dead(campaign_id: str, sequence: int, reopens: bool) -> Report:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ActorUnreachable("starting again")
        return await release(campaign_id, sequence, reopens)

    shards[0].release = taken_for_dead  # type: ignore[method-assign]
    assert await decide_all(shards, "c", [(1, [ROW] * 99)]) == Counter(scheduled=99)
    assert asked == 2
    assert shards[0].balances["c"].held[TOTAL] == 0
    assert await ledger.audit() == []


async def test_all_who_ask_to_reopen_while_one_waits_are_served_by_that(start: Start) -> None:
    ledger, shards = await start_with_money(start)
    assert await decide_all(shards, "c", [(0, [ROW])]) == Counter(scheduled=1)
    late = LateReports(shards[0])
    first = asyncio.create_task(ledger.reopen("c"))
    await let_others_run()
    others = [asyncio.create_task(ledger.reopen("c")) for _ in range(50)]
    await let_others_run()
    assert len(ledger._reopening) == 1
    late.may_go[True].set()
    await asyncio.gather(first, *others)
    assert len(late.computed) == 2
    assert ledger._reopening == {}
    await ledger.reopen("c")
    assert len(late.computed) == 3


async def test_a_registration_that_was_given_up_and_comes_late_is_refused(start: Start) -> None:
    """The shard has spent since then: by what it says, that would be granted to others."""
    ledger, shards = await start_with_money(start)
    assert (await ledger.introduce(0)).lives == 1
    await shards[0].register()
    assert await decide_all(shards, "c", [(0, [ROW] * 10)]) == Counter(scheduled=10)
    with pytest.raises(Superseded):
        await ledger.register(0, 2, {})
    assert await decide_all(shards, "c", [(0, [ROW]), (1, [ROW])]) == Counter(blocked=2)
    assert await ledger.audit() == []


async def test_a_demand_that_was_given_up_keeps_the_turn_from_nobody(start: Start) -> None:
    ledger, shards = await start_with_money(start)
    assert await decide_all(shards, "c", [(1, [ROW])]) == Counter(scheduled=1)
    late = LateReports(shards[1])
    reopening = asyncio.create_task(ledger.reopen("c"))
    await let_others_run()
    demands = [Demand(0, 1, number, 1, "c", {}, {TOTAL: COST}, number) for number in (1, 2, 3)]
    given_up = [asyncio.create_task(ledger.acquire(demand)) for demand in demands[:2]]
    await let_others_run()
    last = asyncio.create_task(ledger.acquire(demands[2]))
    await let_others_run()
    late.may_go[True].set()
    for task in given_up:
        with pytest.raises(ShardUnavailable, match="asked for more since"):
            await task
    assert TOTAL in await last
    await reopening
