"""A shard that waits for the ledger while others have it give its slices back, every time."""

from __future__ import annotations

import msgspec
import pytest

from engine.budget_manager import Bucket, Grants
from engine.config import default_settings
from engine.ledger import BudgetLedger, Limits
from engine.model import decode_campaign
from engine.orchestrator import Orchestrator
from engine.router import Router
from engine.scalars import Instant

CAMPAIGN = {"category": "transactional", "limits": {"per_minute": 1}}
QUESTIONS_MAX = 500


class Contended:
    """The ledger as a shard sees it whose slices are recalled while each of its questions waits."""

    def __init__(self) -> None:
        campaign = decode_campaign(msgspec.json.encode(CAMPAIGN), "c")
        self.book = BudgetLedger(2)
        self.book.register(0, 1, {})
        self.book.set_limits("c", Limits.of(campaign))
        self.shard = Orchestrator(1, default_settings(), self)
        self.shard.put_campaign(campaign, False)
        self.questions = 0

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        self.questions += 1
        assert self.questions < QUESTIONS_MAX, "it asks for ever"
        spent_now = self.shard.release(campaign_id, reopens=False)
        self.book.report(0, 1, campaign_id, spent_now)
        return self.book.acquire(0, 1, sequence, campaign_id, spent, needs)

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        return {}

    def send(self, name: str, at_minute: int, dry_run: bool = False) -> str:
        people = [{"id": name, "contacts": {"email": "ana@example.com"}}]
        body = {"campaign_id": "c", "recipients": people, "send_at": Instant(60 * at_minute).write()}
        request = Router(1).parse_batch(msgspec.json.encode(body | {"dry_run": dry_run}))
        part = request.part(0, 0)
        answer = self.shard.rehearse(part, {})[0] if dry_run else self.shard.decide(part)
        rendered = request.replies({0: answer}).render_batch(None)
        scheduled_at = msgspec.json.decode(rendered)["results"][0]["scheduled_at"]
        assert scheduled_at is not None
        return str(scheduled_at)


@pytest.mark.parametrize("dry_run", [False, True])
def test_full_minutes_are_not_forgotten_over_a_recall(dry_run: bool) -> None:
    """Every other minute is full; what is open lies behind all of them."""
    contended = Contended()
    for minute in range(0, 60, 2):
        contended.send(f"even-{minute}", minute)
    for minute in range(1, 20, 2):
        contended.send(f"odd-{minute}", minute)
    contended.shard.release("c")  # as after a change of the campaign: nothing is known any more
    assert contended.send("last", 0, dry_run) == Instant(60 * 21).write()
    assert contended.book.audit() == []


def test_a_place_that_came_back_is_found_once_the_ledger_says_so() -> None:
    contended = Contended()
    for minute in range(3):
        assert contended.send(f"first-{minute}", 0) == Instant(60 * minute).write()
    contended.book.set_limits("c", Limits(per_minute=2))
    assert contended.send("before", 0) == Instant(180).write()
    contended.shard.release("c")
    assert contended.send("after", 0) == Instant(0).write()
