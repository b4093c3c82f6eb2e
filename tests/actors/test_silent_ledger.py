"""A ledger that does not answer: a single send that hangs on its money is refused, never answered by half."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from actors.client import AsyncOutreach
from actors.keyed import Key
from engine.budget_manager import Bucket, Grants, Slice
from engine.claim import Claim
from engine.config import default_settings
from engine.errors import ShardUnavailable
from engine.model import decode_campaign
from engine.orchestrator import Orchestrator

SEND = {"campaign_id": "spring", "recipient": {"id": "ana", "contacts": {"sms": "+15550100001"}}}


class Reference:
    """An answer that is there, as Ray hands it over."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def future(self) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(self.answer)
        return done


class Actor:
    """Methods of this object, called as an actor's."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(type(self), f"on_{name}")
        return type("Method", (), {"remote": lambda _, *arguments: Reference(method(self, *arguments))})()


class LedgerActor(Actor):
    def on_now(self) -> int:
        return 0


class ShardActor(Actor):
    """One shard, which asks this very object for money."""

    def __init__(self) -> None:
        self.silent = True
        self.core = Orchestrator(1, default_settings(), self)
        campaign = {"urgency": "high", "category": "transactional", "budget": {"total": "1.00"}}
        self.core.put_campaign(decode_campaign(msgspec.json.encode(campaign), "spring"), False)

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        if self.silent:
            raise ShardUnavailable("The ledger does not answer.")
        return {bucket: Slice(need, False, 0) for bucket, need in needs.items()}

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        return {}

    def on_decide(self, parts: list[tuple[str, bytes]]) -> list[bytes]:
        return [self.core.decide(part) for _, part in parts]

    def on_rehearse(self, part: tuple[str, bytes], taken: Any) -> Any:
        return self.core.rehearse(part[1], taken)

    def on_decide_claimed(self, parts: list[Any]) -> list[Any]:
        return [self.core.decide_claimed(part.columns, part.claim) for part in parts]

    def on_begin(self, openings: list[Any]) -> list[Any]:
        return [self.core.begin(*opening) for opening in openings]

    def on_leave(self, claim: Claim, name: int, stays_bound: bool) -> None:
        self.core.leave(claim, name, stays_bound)


@pytest.fixture
def shard() -> ShardActor:
    return ShardActor()


@pytest.fixture
def outreach(shard: ShardActor) -> AsyncOutreach:
    settings = msgspec.structs.replace(default_settings(), clock="manual")
    return AsyncOutreach(LedgerActor(), [shard], settings)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_single_send_is_refused(outreach: AsyncOutreach, shard: ShardActor, dry_run: bool) -> None:
    body = msgspec.json.encode(SEND | {"dry_run": dry_run})
    with pytest.raises(ShardUnavailable, match="ledger"):
        await outreach.send_body(body)
    shard.silent = False
    assert msgspec.json.decode((await outreach.send_body(body))[0])["status"] == "scheduled"


async def test_a_keyed_send_is_refused_and_goes_on_once_the_ledger_answers(
    outreach: AsyncOutreach, shard: ShardActor
) -> None:
    key, body = Key("k", "/send"), msgspec.json.encode(SEND)
    for _ in range(2):
        with pytest.raises(ShardUnavailable, match="ledger"):
            await outreach.keyed.send_body(key, body)
    shard.silent = False
    first = await outreach.keyed.send_body(key, body)
    assert (first.replayed, first.decided) == (False, [("scheduled", "sms", 1)])
    again = await outreach.keyed.send_body(key, body)
    assert (again.replayed, again.body) == (True, first.body)


async def test_a_batch_marks_the_rows_that_hang_on_it(outreach: AsyncOutreach) -> None:
    body = msgspec.json.encode({"campaign_id": "spring", "recipients": [SEND["recipient"]]})
    answer, tally = await outreach.send_batch_body(body)
    assert msgspec.json.decode(answer)["counts"]["unavailable"] == 1
    assert tally == [("unavailable", "", 1)]
