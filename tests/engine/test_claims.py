"""Claims in process: what an idempotency key does on one shard."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest

from engine.budget_manager import Bucket, Grants, Slice
from engine.claim import Claim
from engine.config import default_settings
from engine.errors import Conflict, Overloaded, RequestError, ShardUnavailable, UnknownCampaign
from engine.model import decode_campaign
from engine.orchestrator import Orchestrator
from engine.router import Router

NOW = 1_800_000_000
DAY_S = 24 * 3600
COST = 1_000


Written = tuple[bytes, list[tuple[int, bytes]], int]
"""Effects, pages, and which rows are kept."""


class Purse:
    """A ledger that answers while it is open."""

    def __init__(self) -> None:
        self.open = True
        self.amount = 0

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        if not self.open:
            raise ShardUnavailable("closed")
        # One message's worth, and then nothing more is known.
        self.open = False
        return {bucket: Slice(min(need, self.amount), False, False) for bucket, need in needs.items()}


def shard_with(purse: Purse, written: Written | None = None, **limits: int) -> Orchestrator:
    settings = default_settings()
    settings = msgspec.structs.replace(settings, limits=msgspec.structs.replace(settings.limits, **limits))
    shard = Orchestrator(1, settings, purse, bytes(16))
    if written is not None:
        effects, pages, _ = written
        for number, page in pages:
            shard.load_page(number, 1, page)
        shard.load_group(1, effects)
    shard.end_load()
    body = {"urgency": "high", "costs": {"email": "0.001"}, "budget": {"total": "1"}}
    shard.put_campaign(decode_campaign(msgspec.json.encode(body), "c", settings), False)
    body = {"urgency": "high", "costs": {"email": "0"}}
    shard.put_campaign(decode_campaign(msgspec.json.encode(body), "free", settings), False)
    return shard


def body_of(count: int, campaign_id: str = "free", name: str = "r") -> bytes:
    people = [{"id": f"{name}-{number}", "contacts": {"email": "ana@example.com"}} for number in range(count)]
    return msgspec.json.encode({"campaign_id": campaign_id, "recipients": people})


def part_of(body: bytes, now: int = NOW) -> bytes:
    return Router(1).parse_batch(body).part(0, now)


def answer_of(body: bytes, answer: bytes) -> list[str]:
    text = Router(1).parse_batch(body).replies({0: answer}).render_batch("b")
    return [result["status"] for result in msgspec.json.decode(text)["results"]]


def claim_of(body: bytes, key: str = "k", now: int = NOW) -> Claim:
    return Claim.of(key, "/send-batch", body, now)


def test_a_claimed_part_is_decided_once() -> None:
    shard, body = shard_with(Purse()), body_of(3)
    first = shard.decide_claimed(part_of(body), claim_of(body))
    assert (answer_of(body, first.answer), first.before) == (["scheduled"] * 3, None)
    again = shard.decide_claimed(part_of(body), claim_of(body))
    assert again == (first.answer, first.answer)
    assert sum(shard.tally("free")["messages"]) == 3
    assert shard.kept_part(claim_of(body)) == (first.answer, True)
    with pytest.raises(RequestError):
        shard.decide_claimed(part_of(body), claim_of(body + b" "))


class Killed(BaseException):
    """Of a shard."""


def test_what_was_decided_when_a_shard_died_that_waited_for_money_is_in_the_answer() -> None:
    """Others write down what it did, while it asks for the second time, and then it is killed."""
    written: list[Written | None] = []

    class Deadly(Purse):
        def acquire(
            self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]
        ) -> Grants:
            if not self.open:
                written.append(shard.take_group(1))
                raise Killed
            return super().acquire(sequence, campaign_id, spent, needs)

    purse, body = Deadly(), body_of(3, "c")
    purse.amount = COST
    shard = shard_with(purse)
    with pytest.raises(Killed):
        shard.decide_claimed(part_of(body), claim_of(body))

    purse = Purse()
    purse.amount = 3 * COST
    after = shard_with(purse, written[0])
    assert sum(after.tally("c")["messages"]) == 1
    answer = after.decide_claimed(part_of(body), claim_of(body))
    assert answer.before is not None
    assert answer_of(body, answer.before) == ["scheduled", "unavailable", "unavailable"]
    assert answer_of(body, answer.answer) == ["scheduled"] * 3
    assert sum(after.tally("c")["messages"]) == 3


def test_rows_without_money_are_decided_when_the_claim_comes_again() -> None:
    purse = Purse()
    shard, body = shard_with(purse), body_of(5, "c")
    counts = []
    for amount in (0, 2 * COST, 5 * COST):
        purse.open, purse.amount = True, amount
        kept = shard.decide_claimed(part_of(body), claim_of(body))
        counts.append(answer_of(body, kept.answer).count("scheduled"))
    assert counts == [0, 2, 5]
    assert sum(shard.tally("c")["messages"]) == 5
    before = shard.decide_claimed(part_of(body), claim_of(body))
    assert before == (kept.answer, kept.answer)


def test_what_raises_keeps_nothing() -> None:
    shard, body = shard_with(Purse()), body_of(1, "unknown")
    with pytest.raises(UnknownCampaign):
        shard.decide_claimed(part_of(body), claim_of(body))
    assert shard.kept_part(claim_of(body)) is None


def test_without_room_a_request_is_refused_and_changes_nothing() -> None:
    shard = shard_with(Purse(), kept_answers_bytes_max=65_536)
    many, few = body_of(2_000), body_of(100)
    with pytest.raises(Overloaded) as refused:
        shard.decide_claimed(part_of(many), claim_of(many))
    assert (refused.value.status, shard.sizes()) == (429, (0, 0))
    first = shard.decide_claimed(part_of(few), claim_of(few))
    for number in range(150):
        shard.begin(claim_of(b"", f"k-{number}"), True, 64, number)
    with pytest.raises(Overloaded):
        shard.begin(claim_of(b"", "k"), True, 65_536, 7)
    for number in range(150, 1000):
        with suppress(Overloaded):
            shard.begin(claim_of(b"", f"k-{number}"), True, 64, number)
    with pytest.raises(Overloaded):
        shard.decide_claimed(part_of(body_of(1)), claim_of(body_of(1), "other"))
    # What is there stays for its day, and then makes room.
    assert shard.decide_claimed(part_of(few), claim_of(few)).before == first.answer
    assert shard.begin(claim_of(b"", "k-0", NOW + DAY_S - 1), True, 64, 7).first is False
    assert shard.begin(claim_of(b"", "new", NOW + DAY_S), True, 64, 7).first is True


def test_an_erased_persons_answer_is_a_conflict() -> None:
    shard, body = shard_with(Purse()), body_of(3)
    shard.decide_claimed(part_of(body), claim_of(body))
    assert shard.erase("r-1", NOW)
    for call in (lambda: shard.decide_claimed(part_of(body), claim_of(body)), lambda: shard.kept_part(claim_of(body))):
        with pytest.raises(Conflict):
            call()


def test_a_claim_is_of_key_path_and_body() -> None:
    claims = [
        Claim.of(*case, NOW)
        for case in [("k", "/a", b"b"), ("k", "/ab", b""), ("k", "/a", b"c"), ("l", "/a", b"b"), ("k", "/a", b"b")]
    ]
    assert claims[0] == claims[4]
    assert len({claim.key for claim in claims}) == 2
    assert len({claim.request for claim in claims}) == 3
    assert {len(one) for claim in claims for one in claim[:2]} == {16}


def test_a_key_is_bound_to_its_request() -> None:
    shard, body, other = shard_with(Purse()), body_of(1), body_of(2)
    assert shard.begin(claim_of(body), False, 0, 7).first
    again = shard.begin(claim_of(body, now=NOW + DAY_S - 1), False, 0, 8)
    assert (again.first, again.name, again.began_at) == (False, 7, NOW)
    with pytest.raises(RequestError) as refused:
        shard.begin(claim_of(other), False, 0, 9)
    assert refused.value.status == 422
    assert shard.begin(claim_of(other, now=NOW + DAY_S), False, 0, 9).first  # a day is over


def test_what_was_left_out_is_said_each_time() -> None:
    """By the first answer, where most are unavailable, by the next after a restart, and by its replay."""
    people = [{"id": f"r-{n}", "contacts": {"email": "ana@example.com", "sms": "0937"}} for n in range(3)]
    body = msgspec.json.encode({"campaign_id": "c", "recipients": people})
    purse = Purse()
    purse.amount = COST
    shard = shard_with(purse)
    first = shard.decide_claimed(part_of(body), claim_of(body))
    assert answer_of(body, first.answer) == ["scheduled", "unavailable", "unavailable"]
    purse = Purse()
    purse.amount = 3 * COST
    after = shard_with(purse, shard.take_group(1))
    second = after.decide_claimed(part_of(body), claim_of(body))
    assert answer_of(body, second.answer) == ["scheduled"] * 3
    assert after.decide_claimed(part_of(body), claim_of(body)).answer == second.answer
    for answer in (first.answer, second.before, second.answer):
        replies = Router(1).parse_batch(body).replies({0: answer})
        results = msgspec.json.decode(replies.render_batch("b"))["results"]
        assert [[warning[:13] for warning in result["warnings"]] for result in results] == [["contacts.sms:"]] * 3
