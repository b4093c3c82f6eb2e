"""Shards without Ray and without a core: threads, a Python balance, the real ledger and the real protocol."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from actors.answers import ActorGone, ActorUnreachable
from actors.ledger import Ledger
from actors.ledger_file import LedgerFile
from actors.ledger_link import LedgerLink
from actors.standing import Demand, Publication, Report, Standing
from actors.turn import Turn
from engine.budget_manager import Bucket, Grants
from engine.errors import ShardUnavailable, WriteFailed
from engine.learning import Learned
from engine.ledger import Limits
from engine.settings import Settings

Row = list[tuple[Bucket, int]]
"""What one message costs, bucket by bucket."""


class Balance:
    """What the core does with money, row by row."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.spent: Counter[Bucket] = Counter()
        self.held: Counter[Bucket] = Counter()
        self.last: set[Bucket] = set()
        self.messages = 0

    def release(self) -> dict[Bucket, int]:
        self.held.clear()
        self.last.clear()
        return dict(self.spent)

    def short(self, row: Row) -> list[Bucket]:
        return [bucket for bucket, cost in row if self.limits.on(bucket) is not None and cost > self.held[bucket]]

    def pay(self, row: Row) -> None:
        for bucket, cost in row:
            self.spent[bucket] += cost
            if self.limits.on(bucket) is not None:
                self.held[bucket] -= cost
        self.messages += 1


class ThreadShard:
    """A shard with its two threads; also the ledger's link to it. `lag` runs before each reply of the ledger counts."""

    def __init__(self, index: int, loop: asyncio.AbstractEventLoop) -> None:
        self.index = index
        self.loop = loop
        self.main, self.second = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self.ledger: Ledger
        self.lag: Callable[[Demand], None] = lambda demand: None
        self.hung = threading.Event()
        self.ledger_is_up = threading.Event()
        self.called_in_vain = asyncio.Event()
        self.alive = True
        self.begins = False
        self.balances: dict[str, Balance] = {}
        self.begin()

    def begin(self) -> None:
        self.turn = Turn()
        self.sequence = 0
        self.frozen: set[str] = set()
        self.counts: dict[str, Any] = {}
        self.recalls: list[bool] = []
        """Whether each recall said that places may have come back."""
        self.heard: list[Publication] = []

    async def register(self) -> None:
        """Begins a life that knows what the last one decided."""
        self.begin()
        self.begins = True
        spent = {campaign_id: balance.release() for campaign_id, balance in self.balances.items()}
        self.incarnation = (await self.ledger.introduce(self.index)).lives + 1
        registration = await self.ledger.register(self.index, self.incarnation, spent)
        self.link = LedgerLink(self.index, self.turn, self.ask, lambda _: {}, lambda: None, self.superseded)
        self.link.incarnation = self.incarnation
        for standing in registration.standings:
            self.put(standing)
        self.heard.append(registration.publication)
        self.alive, self.begins = True, False

    def superseded(self) -> None:
        self.alive = False

    def ask(self, demand: Demand) -> Grants:
        assert self.ledger_is_up.wait(5)
        answer = asyncio.run_coroutine_threadsafe(self.ledger.acquire(demand), self.loop)
        try:
            grants = answer.result(5)
        except (CancelledError, WriteFailed):
            raise ActorUnreachable("the ledger died") from None
        finally:
            self.lag(demand)
        return grants

    def decide(self, campaign_id: str, rows: Sequence[Row]) -> Future[list[str]]:
        return self.main.submit(self.decide_now, campaign_id, rows)

    def decide_now(self, campaign_id: str, rows: Sequence[Row]) -> list[str]:
        with self.turn:
            if campaign_id in self.frozen:
                return ["unavailable"] * len(rows)
            balance = self.balances[campaign_id]
            answers: list[str] = []
            while len(answers) < len(rows):
                row = rows[len(answers)]
                short = balance.short(row)
                if not short:
                    balance.pay(row)
                    answers.append("scheduled")
                elif balance.last.issuperset(short):
                    answers.append("blocked")
                elif not self.acquire(campaign_id, balance, rows[len(answers) :]):
                    answers += ["unavailable"] * (len(rows) - len(answers))
            return answers

    def acquire(self, campaign_id: str, balance: Balance, rows: Sequence[Row]) -> bool:
        needs: Counter[Bucket] = Counter()
        for row in rows:
            needs.update({bucket: cost for bucket, cost in row if balance.limits.on(bucket) is not None})
        self.sequence += 1
        try:
            grants = self.link.acquire(self.sequence, campaign_id, balance.release(), dict(needs))
        except ShardUnavailable:
            return False
        for bucket, (amount, last, _) in grants.items():
            balance.held[bucket] += amount
            if last:
                balance.last.add(bucket)
        return True

    def put(self, standing: Standing) -> None:
        campaign_id = standing.campaign.id
        if standing.version > self.link.versions.get(campaign_id, 0):
            balance = self.balances.setdefault(campaign_id, Balance())
            balance.release()
            balance.limits = Limits.of(standing.campaign)
            self.link.versions[campaign_id] = standing.version
            self.frozen.discard(campaign_id)

    def report(self, campaign_id: str) -> Report:
        balance = self.balances.setdefault(campaign_id, Balance())
        return Report(self.incarnation, balance.release(), balance.messages, self.link.next_word())

    # ---- as the ledger's link ---------------------------------------------------------------------------

    async def on(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        if self.hung.is_set():
            await asyncio.sleep(3600)
        if self.begins:
            raise ShardUnavailable("it did not start yet")
        if not self.alive:
            self.called_in_vain.set()
            raise ActorUnreachable("dead")
        return await self.loop.run_in_executor(thread, work)

    async def release(self, campaign_id: str, sequence: int, reopens: bool) -> Report:
        self.recalls.append(reopens)

        def work() -> Report:
            self.link.wait_until_granted(campaign_id, sequence, 5)
            with self.turn:
                return self.report(campaign_id)

        return await self.on(self.second, work)

    async def put_campaign(self, standing: Standing) -> Report:
        def work() -> Report:
            with self.turn:
                self.put(standing)
                return self.report(standing.campaign.id)

        return await self.on(self.main, work)

    async def freeze(self, campaign_id: str) -> Report:
        def work() -> Report:
            with self.turn:
                self.frozen.add(campaign_id)
                return self.report(campaign_id)

        return await self.on(self.main, work)

    async def thaw(self, campaign_id: str) -> None:
        self.frozen.discard(campaign_id)

    async def learned(self, now: int) -> Learned:
        return await self.on(self.second, lambda: Learned(now, dict(self.counts)))

    async def publish(self, publication: Publication) -> None:
        await self.on(self.second, lambda: self.heard.append(publication))


class GoneShard(ThreadShard):
    """One that is dead for good whenever the ledger calls."""

    async def on(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        raise ActorGone("gone")


Start = Callable[..., Awaitable[tuple[Ledger, list["ThreadShard"]]]]
Restart = Callable[[Ledger], Awaitable[Ledger]]


async def open_ledger(settings: Settings, shards: Sequence[ThreadShard], directory: Path) -> Ledger:
    """A life of the ledger, which the shards ask from now on."""
    ledger = Ledger(settings, shards, await LedgerFile.open(directory, len(shards), fail))
    for shard in shards:
        shard.ledger = ledger
        shard.ledger_is_up.set()
    return ledger


async def crash(ledger: Ledger, shards: Sequence[ThreadShard], next_directory: Path) -> None:
    """The ledger's process dies. What is on the disk now is copied to where the next life is to be."""

    async def acquire(demand: Demand) -> Grants:
        raise asyncio.CancelledError

    for shard in shards:
        shard.ledger_is_up.clear()
    ledger.acquire = acquire  # type: ignore[method-assign]
    file = ledger._file._file
    (commits := ledger._file._entries._commits._task).cancel()  # type: ignore[union-attr]
    acquiring = {task for _, task in ledger._acquiring.values()}
    tasks = {*ledger._under_way, *ledger._changes._under_way, *ledger._recalls._under_way.values(), *acquiring}
    for task in tasks:
        task.cancel()
    await asyncio.gather(commits, *tasks, return_exceptions=True)
    await file._connection.run(lambda: None)  # a commit that had begun may come to its end
    shutil.copytree(file.path.parent, next_directory)
    await file.close()


class HeldCommits:
    """Commits of a ledger wait until they are let go."""

    def __init__(self, ledger: Ledger) -> None:
        self.may_go = asyncio.Event()
        self.waiting = asyncio.Event()
        self.rows: list[bytes] = []
        file = ledger._file._file
        self.commit = file.commit
        file.commit = self.held_commit  # type: ignore[method-assign]

    async def held_commit(self, sequence: int, row: bytes, pages: Any, keep_from: int) -> None:
        self.rows.append(row)
        self.waiting.set()
        await self.may_go.wait()
        await self.commit(sequence, row, pages, keep_from)


def fail(error: BaseException) -> None:
    raise AssertionError("a commit failed") from error


async def start_shards(
    settings: Settings, kinds: Sequence[type[ThreadShard]], directory: Path
) -> tuple[Ledger, list[ThreadShard]]:
    loop = asyncio.get_running_loop()
    shards = [kind(index, loop) for index, kind in enumerate(kinds)]
    ledger = await open_ledger(settings, shards, directory)
    for shard in shards:
        await shard.register()
    return ledger, shards


async def audit(ledger: Ledger, shards: Sequence[ThreadShard]) -> None:
    """The book balances, and it covers what the living spent: no shard more than it reported and was granted since."""
    assert await ledger.audit() == []
    for campaign_id, account in ledger._book._accounts.items():
        for shard in shards:
            balance, page = shard.balances.get(campaign_id), account.entries.get(shard.index)
            if shard.alive and balance is not None and page is not None:
                for bucket, amount in dict(balance.spent).items():
                    if account.limits.on(bucket) is not None:
                        assert amount <= page.spent[bucket] + page.held[bucket], (campaign_id, shard.index, bucket)
