"""Dry runs: everything is decided, nothing is changed, and no more is promised than there is.

That a dry run gets the very decisions of the real one, in every kind of state, is the duels' part
(test_against_reference.py); here is what they do not reach: several shards with little money, and a ledger that fails.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from engine import Engine
from engine.budget_manager import Bucket, Grants, Ledger, Slice
from engine.config import default_settings
from engine.errors import ShardUnavailable, UnknownCampaign
from engine.model import decode_campaign
from engine.orchestrator import Orchestrator
from engine.rehearsal import ROUNDS_MAX, Taken
from engine.router import Router
from engine.scalars import Instant
from tests.strategies import Dice

NOON = int(datetime.fromisoformat("2026-03-02T12:00:00Z").timestamp())
COST = 7_500
FREE: dict = {"id": "spring", "urgency": "high", "costs": {"sms": "0.0075"}}
LIMITS: dict[str, tuple[str, Any]] = {
    "total": ("over_budget", lambda amount, _: {"budget": {"total": amount}}),
    "daily": ("over_budget", lambda amount, _: {"budget": {"daily": amount}}),
    "per channel": ("over_budget", lambda amount, _: {"budget": {"per_channel": {"sms": amount}}}),
    "daily messages": ("daily_limit", lambda _, count: {"limits": {"daily_messages": count}}),
}


def money(messages: int) -> str:
    return f"0.{messages * COST:06}"


def person(name: object, **fields: Any) -> dict:
    return {"id": f"p-{name}", "contacts": {"sms": "+15550100001"}} | fields


def batch(people: list[dict], **options: Any) -> dict:
    return {"campaign_id": "spring", "recipients": people} | options


def counts(answer: dict) -> tuple[dict, dict]:
    return answer["counts"], answer["reasons"]


@pytest.mark.parametrize("shards", [2, 5])
@pytest.mark.parametrize("limit", LIMITS)
def test_shards_together_promise_what_there_is_and_no_more(limit: str, shards: int) -> None:
    reason, limits_of = LIMITS[limit]
    for k in (0, 1, 7, 30, 100):
        engine = Engine(shards=shards)
        engine.put_campaign(FREE | limits_of(money(k), k))
        people = [person(number) for number in range(60)]
        before = engine.state_hashes()
        rehearsed = engine.send_batch(batch(people, dry_run=True), NOON)
        assert engine.send_batch(batch(people, dry_run=True), NOON) == rehearsed
        assert (engine.state_hashes(), rehearsed["batch_id"]) == (before, None)
        assert rehearsed["counts"]["scheduled"] == min(k, 60)
        assert rehearsed["reasons"] == ({reason: 60 - k} if k < 60 else {})
        assert counts(engine.send_batch(batch(people), NOON)) == counts(rehearsed)
        assert engine.ledger.audit() == []


@pytest.mark.parametrize("seed", range(30))
def test_money_that_would_be_freed_on_one_shard_is_there_for_the_others(seed: int) -> None:
    """Opt-outs free money in the middle; the limit may have come down below what is committed before."""
    choices = Dice(seed)
    engine = Engine(shards=choices.integer(1, 4))
    engine.put_campaign(FREE | {"budget": {"total": money(20)}, "limits": {"daily_cap": 50}})
    first = [person(number) for number in range(choices.integer(5, 25))]
    engine.send_batch(batch(first, dedup_key="first"), NOON)
    k = choices.pick((2, 10, 18, 20, 25))
    engine.put_campaign(FREE | {"budget": {"total": money(k)}, "limits": {"daily_cap": 50}})
    people = [person(choices.integer(0, 60)) for _ in range(30)]
    gone = {"opt_out": ["sms"]}
    people = [one | {"preferences": gone} if choices.chance(30) else one for one in people]
    if len(engine.shards) > 1:  # those who free first, so that whoever wants it finds it on any order of shards
        leaving = {one["id"] for one in people if "preferences" in one}
        people = [person(name.removeprefix("p-"), preferences=gone) for name in sorted(leaving)]
        people = [one for one in people if engine.router.shard_of_recipient(one["id"]) == 0]
        others = [person(number) for number in range(100, 200)]
        people += [one for one in others if engine.router.shard_of_recipient(one["id"]) == 1][:30]
    before, freed = engine.state_hashes(), [shard.take_freed() for shard in engine.shards]
    rehearsed = engine.send_batch(batch(people, dry_run=True), NOON)
    assert engine.state_hashes() == before
    assert [shard.take_freed() for shard in engine.shards] == [[] for _ in freed]
    assert engine.ledger.spent("spring")[0, 0] == COST * min(20, len(first))
    decided = engine.send_batch(batch(people), NOON)
    for decision in (*rehearsed["results"], *decided["results"]):
        decision["message_id"] = None
    assert rehearsed["results"] == decided["results"]


class Miser:
    """A ledger that grants no more than is asked, `answers` times, and then does not answer."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.asked: list[tuple[dict[Bucket, int], dict[Bucket, int]]] = []

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        self.asked.append((spent, needs))
        if len(self.asked) > self.answers:
            raise ShardUnavailable("The ledger does not answer.")
        return {bucket: Slice(need, False, 0) for bucket, need in needs.items()}

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        raise ShardUnavailable("The ledger does not answer.")


def orchestrator(ledger: Ledger, campaign: dict) -> Orchestrator:
    shard = Orchestrator(1, default_settings(), ledger)
    shard.put_campaign(decode_campaign(msgspec.json.encode(campaign), "spring"), False)
    return shard


def rehearse(shard: Orchestrator, people: list[dict], **options: Any) -> tuple[list[dict], Taken]:
    request = Router(1).parse_batch(msgspec.json.encode(batch(people, dry_run=True, **options)))
    answer, taken = shard.rehearse(request.part(0, NOON), {})
    return msgspec.json.decode(request.replies({0: answer}).render_batch(None))["results"], taken


def test_without_a_ledger_what_cannot_be_known_is_unavailable_and_nothing_is_changed() -> None:
    ledger = Miser(answers=1)
    shard = orchestrator(ledger, FREE | {"budget": {"total": "1.00"}, "costs": {"sms": "0.0075", "email": "0"}})
    assert rehearse(shard, [person("a")])[1] == {(0, 0): COST}  # leaves a slice for one
    before = shard.state_hash()
    leaving = person("a", preferences={"opt_out": ["email"]})
    free = person("b", contacts={"email": "ana@example.com"})
    results, taken = rehearse(shard, [leaving, free, person("c"), leaving], explain=True)
    assert [decision["status"] for decision in results] == ["scheduled", "scheduled", "unavailable", "unavailable"]
    assert [decision["explanation"] is None for decision in results] == [False, False, True, True]
    assert {decision["message_id"] for decision in results} == {None}
    assert (taken, shard.state_hash()) == ({(0, 0): COST}, before)
    assert [spent[0, 0] for spent, _ in ledger.asked] == [0, 0]


def test_a_rehearsal_asks_for_all_that_it_needs_and_ends() -> None:
    """Everybody has an e-mail that waits and makes another message a duplicate until, at their turn, it is cancelled:
    what the rest needs shows one by one."""
    ledger = Miser(answers=100)
    shard = orchestrator(ledger, FREE | {"budget": {"total": "100.00"}})
    both = {"sms": "+15550100001", "email": "ana@example.com"}
    people = [person(number, contacts=both) for number in range(200)]
    request = Router(1).parse_batch(msgspec.json.encode(batch(people, channels=["email"])))
    shard.decide(request.part(0, NOON))
    leaving = [one | {"preferences": {"opt_out": ["email"]}} for one in people]
    ledger.asked.clear()
    results, taken = rehearse(shard, leaving)
    assert {decision["channel"] for decision in results} == {"sms"}
    assert taken == {(0, 0): 200 * (COST - 1_000)}
    assert 3 <= len(ledger.asked) < ROUNDS_MAX


def test_only_a_dry_run_is_rehearsed_and_it_is_only_rehearsed() -> None:
    engine = Engine()
    engine.put_campaign(FREE)
    shard, router = engine.shards[0], Router(1)
    real = router.parse_batch(msgspec.json.encode(batch([person(1)]))).part(0, NOON)
    dry = router.parse_batch(msgspec.json.encode(batch([person(1)], dry_run=True))).part(0, NOON)
    before = shard.state_hash()
    with pytest.raises(ValueError, match="dry run"):
        shard.decide(dry)
    with pytest.raises(ValueError, match="dry run"):
        shard.rehearse(real, {})
    assert shard.state_hash() == before
    shard.decide(real)
    assert shard.state_hash() != before


def test_an_unknown_campaign_ends_a_rehearsal() -> None:
    engine = Engine()
    engine.put_campaign(FREE)
    dry = Router(1).parse_batch(msgspec.json.encode(batch([person(1)], dry_run=True) | {"campaign_id": "winter"}))
    with pytest.raises(UnknownCampaign):
        engine.shards[0].rehearse(dry.part(0, NOON), {})
    assert engine.send_batch(batch([person(1)]), NOON)["counts"]["scheduled"] == 1


def test_a_dry_send_has_no_id_and_everything_else() -> None:
    engine = Engine()
    engine.put_campaign(FREE)
    body = {"campaign_id": "spring", "recipient": person(1), "explain": True}
    rehearsed = engine.send(body | {"dry_run": True}, NOON)
    assert (rehearsed["message_id"], rehearsed["status"], rehearsed["cost"]) == (None, "scheduled", "0.0075")
    decided = engine.send(body, NOON)
    assert decided.pop("message_id") is not None
    assert rehearsed.pop("message_id") is None
    assert rehearsed == decided
    assert engine.status("spring", NOON)["messages"]["scheduled"] == 1


@pytest.mark.parametrize("shards", [1, 4])
def test_a_dry_run_gets_through_minutes_that_are_full_here_and_there(shards: int) -> None:
    """Nobody remembers them once the campaign was put again, and each question tells of one run of them only."""
    engine = Engine(shards=shards)
    campaign = FREE | {"category": "transactional", "limits": {"per_minute": 1}}
    engine.put_campaign(campaign)
    dice = Dice(1)
    for minute in range(1200):
        if dice.chance(90):
            at = Instant(NOON + 60 * minute).write()
            engine.send_batch(batch([person(f"before-{minute}")], send_at=at), NOON)
    engine.put_campaign(campaign)
    people = [person(number) for number in range(100)]
    rehearsed = engine.send_batch(batch(people, dry_run=True), NOON)
    assert rehearsed["counts"]["scheduled"] == 100
    decided = engine.send_batch(batch(people), NOON)
    assert sorted(one["scheduled_at"] for one in rehearsed["results"]) == sorted(
        one["scheduled_at"] for one in decided["results"]
    )
