"""What must be on the disk, and when: a grant before it is answered, what came back before it is spoken of. And what
must happen by itself."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import msgspec

from actors.ledger_file import LedgerFile
from actors.ledger_link import LedgerLink
from actors.standing import Demand
from actors.turn import Turn
from engine.budget_manager import Bucket, Grants, Slice
from engine.router import Router
from tests.actors.state_crashes import put_files, quick_directory
from tests.actors.test_recalls import make_campaign, money
from tests.actors.threaded import Start, ThreadShard, fail
from tests.faults.directories import files_of
from tests.faults.leases import LeaseRound
from tests.faults.machine import SHARDS, Strike, running_machine

TOTAL: Bucket = (0, 0)
WITHIN_S = 60.0
ROUTER = Router(SHARDS)


async def test_a_grant_is_on_the_disk_when_it_is_answered(start: Start, tmp_path: Path) -> None:
    """Killed then, the ledger's next life holds the shard to it, and answers the same again."""
    ledger, shards = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": money(10)}}))
    demand = Demand(0, 1, 1, 1, "c", {}, {TOTAL: 7}, 1)
    answer = await ledger.acquire(demand)
    files = files_of(ledger._file._file.path.parent)
    put_files(tmp_path / "next", files)
    file = await LedgerFile.open(tmp_path / "next", len(shards), fail)
    await file.close()  # before a failure: the file's thread would outlive it
    assert file.book.covered("c", 0) == {TOTAL: 7}, "the grant was lost"
    assert file.book.ask(0, 1, 1, "c", {}) == answer
    assert file.book.audit() == []


def test_what_came_back_is_on_the_disk_before_the_ledger_hears_of_it() -> None:
    """The ledger may grant it to another shard at once."""
    happened: list[str] = []
    turn = Turn()

    def ask(demand: Demand) -> Grants:
        happened.append("asked")
        return {TOTAL: Slice(1, False, False)}

    link = LedgerLink(0, turn, ask, lambda _: {}, lambda: happened.append("durable"), threading.Event().set)
    link.incarnation, link.versions = 1, {"c": 1}
    with turn:
        link.acquire(1, "c", {}, {TOTAL: 1})
    assert happened == ["durable", "asked"]


async def test_what_a_shard_held_comes_back_though_nobody_calls_it() -> None:
    """Its next life is not registered at the first try, for the ledger dies as well, and all who want the money are
    the other shard's."""
    with quick_directory() as place:
        async with running_machine(place, random.Random(1)) as machine:
            name = next(name for name in map(str, range(99)) if ROUTER.home_of(f"{name}-1") == 1)  # the second request
            clients = LeaseRound(machine, name, 1)
            campaign = clients.campaign()
            await clients.outreach.put_campaign(campaign)
            await clients.ask(campaign, [0])
            machine.strikes = [Strike("register noted", "ledger")]
            machine.kill(machine.shard_processes[0])
            async with asyncio.timeout(WITHIN_S):
                while machine.strikes:  # noqa: ASYNC110 - taken where the ledger dies
                    await asyncio.sleep(0)
                await clients.ask(campaign, [1] * clients.places)
            assert len(clients.told.live(str(campaign.id))) == clients.places


async def test_others_hear_of_money_that_came_back_though_the_ledger_died() -> None:
    """Nobody calls the shard that it came back to again, and the other was told before that there is no more."""
    with quick_directory() as place:
        async with running_machine(place, random.Random(1)) as machine:
            clients = LeaseRound(machine, "freed", 1)
            campaign = clients.campaign()
            await clients.outreach.put_campaign(campaign)
            await clients.ask(campaign, [0] * clients.places)
            live = clients.told.live(str(campaign.id))
            mine = next(one for one in live if ROUTER.shard_of_message(one["message_id"]) == 0)
            await clients.ask(campaign, [1])
            machine.strikes = [Strike("reopen sent", "ledger")]
            await clients.cancel(mine["message_id"])
            assert not machine.strikes
            body = clients.request("", str(campaign.id), [clients.somebody_on(1)], is_batch=False).body
            async with asyncio.timeout(WITHIN_S):
                while True:  # without a key, which may have its home on the other shard
                    answer, _ = await clients.outreach.send_body(body)
                    if msgspec.json.decode(answer)["status"] == "scheduled":
                        break
