"""The book: whatever shards ask, spend, give back, and however they die, it balances and never grants too much."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.budget_manager import Bucket
from engine.errors import ShardUnavailable, UnknownCampaign
from engine.ledger import BudgetLedger, Limits, Superseded
from engine.model import decode_campaign
from tests.engine.paper import Paper

TOTAL = (0, 0)
SMS = (1, 1)
CAMPAIGN = "c"
SHARDS = 3
BUCKETS: list[Bucket] = [TOTAL, SMS, (2, 5), (2, 6), (3, 5)]


def make_book(total: int | None = None, shards: int = SHARDS, **limits: object) -> BudgetLedger:
    book = BudgetLedger(shards)
    book.set_limits(CAMPAIGN, Limits(total=total, **limits))  # type: ignore[arg-type]
    for shard in range(shards):
        book.register(shard, 1, {})
    return book


def test_a_grant_is_what_is_needed_or_the_last_there_is() -> None:
    book = make_book(10)
    assert book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 10}) == {TOTAL: (10, True, 0)}
    assert book.acquire(0, 1, 2, CAMPAIGN, {TOTAL: 7}, {TOTAL: 4}) == {TOTAL: (3, True, False)}
    assert book.acquire(0, 1, 3, CAMPAIGN, {TOTAL: 10}, {TOTAL: 1}) == {TOTAL: (0, True, False)}
    assert book.free(CAMPAIGN, TOTAL) == 0
    assert book.audit() == []


def test_plenty_is_granted_ahead_of_need_and_scarcity_is_not() -> None:
    book = make_book(1_000_000)
    assert book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 10}) == {TOTAL: (100_000, False, False)}
    assert book.acquire(1, 1, 1, CAMPAIGN, {}, {TOTAL: 149_000}) == {TOTAL: (150_000, False, False)}
    assert book.acquire(2, 1, 1, CAMPAIGN, {}, {TOTAL: 200_000}) == {TOTAL: (200_000, False, False)}
    assert book.audit() == []


def test_what_another_shard_holds_is_neither_granted_nor_called_the_end() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 8})
    with pytest.raises(ShardUnavailable, match="shard 0"):
        book.acquire(1, 1, 1, CAMPAIGN, {}, {TOTAL: 5})
    assert book.in_the_way(CAMPAIGN, 1, {TOTAL: 5}) == [(0, 1)]
    assert book.in_the_way(CAMPAIGN, 1, {TOTAL: 2}) == []
    assert book.recalled(0, 1, 1, CAMPAIGN, {TOTAL: 6})
    assert book.acquire(1, 1, 2, CAMPAIGN, {}, {TOTAL: 5}) == {TOTAL: (4, True, False)}
    assert book.audit() == []


def test_a_repeated_request_gets_its_first_answer_and_changes_nothing() -> None:
    book = make_book(10)
    first = book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 6})
    assert book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 6}) == first
    assert book.free(CAMPAIGN, TOTAL) == 4
    book.acquire(0, 1, 2, CAMPAIGN, {TOTAL: 2}, {TOTAL: 3})
    with pytest.raises(ShardUnavailable, match="since its request 1"):
        book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 6})
    assert book.audit() == []


def test_a_request_is_overtaken_by_a_later_report() -> None:
    book = make_book(10)
    assert book.ask(0, 1, 1, CAMPAIGN, {}) is None
    book.report(0, 1, CAMPAIGN, {})
    with pytest.raises(ShardUnavailable, match="went on without"):
        book.grant(0, 1, 1, CAMPAIGN, {TOTAL: 5})


def test_what_a_dead_life_held_is_free_once_its_next_says_what_it_spent() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 6})
    book.report(0, 1, CAMPAIGN, {TOTAL: 2})
    book.acquire(0, 1, 2, CAMPAIGN, {TOTAL: 2}, {TOTAL: 3})
    assert book.free(CAMPAIGN, TOTAL) == 5
    assert book.register(0, 2, {CAMPAIGN: {TOTAL: 4}}) == [CAMPAIGN]
    assert book.spent(CAMPAIGN) == {TOTAL: 4}
    assert book.acquire(0, 2, 1, CAMPAIGN, {TOTAL: 4}, {TOTAL: 9}) == {TOTAL: (6, True, False)}
    with pytest.raises(Superseded):
        book.ask(0, 1, 9, CAMPAIGN, {})
    with pytest.raises(Superseded):
        book.grant(0, 1, 9, CAMPAIGN, {TOTAL: 1})
    with pytest.raises(Superseded):
        book.register(0, 2, {})
    assert not book.recalled(0, 1, 2, CAMPAIGN, {TOTAL: 9})
    assert book.audit() == []


def test_what_was_reported_and_never_written_down_never_came_to_be() -> None:
    book = make_book(10, per_minute=1)
    minute = (4, 9)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 6, minute: 1})
    book.report(0, 1, CAMPAIGN, {TOTAL: 6, minute: 1})
    assert book.register(0, 2, {CAMPAIGN: {TOTAL: 5}}) == [CAMPAIGN]
    assert book.spent(CAMPAIGN) == {TOTAL: 5}
    assert (book.free(CAMPAIGN, TOTAL), book.free(CAMPAIGN, minute)) == (5, 1)
    assert book.audit() == []


def test_a_life_that_spent_more_than_it_held_is_said_to() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 6})
    book.register(0, 2, {CAMPAIGN: {TOTAL: 7}})
    assert any("spent 7 and held 6" in fault for fault in book.audit())


def test_the_answer_to_an_earlier_recall_is_stale() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 4})
    book.acquire(0, 1, 2, CAMPAIGN, {TOTAL: 4}, {TOTAL: 4})
    assert not book.recalled(0, 1, 1, CAMPAIGN, {TOTAL: 4})
    assert book.in_the_way(CAMPAIGN, 1, {TOTAL: 10}) == [(0, 2)]


def test_a_lower_limit_takes_nothing_back_and_a_higher_one_frees() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 8})
    book.report(0, 1, CAMPAIGN, {TOTAL: 8})
    book.set_limits(CAMPAIGN, Limits(total=5))
    assert book.acquire(1, 1, 1, CAMPAIGN, {}, {TOTAL: 1}) == {TOTAL: (0, True, 3)}
    assert book.spent(CAMPAIGN) == {TOTAL: 8}
    assert book.audit() == []
    book.set_limits(CAMPAIGN, Limits(total=9))
    assert book.acquire(1, 1, 2, CAMPAIGN, {}, {TOTAL: 2}) == {TOTAL: (1, True, False)}


def test_elsewhere_is_what_others_spent_or_hold() -> None:
    book = make_book(20)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 3})
    book.report(0, 1, CAMPAIGN, {TOTAL: 2})
    book.acquire(1, 1, 1, CAMPAIGN, {}, {TOTAL: 4})
    held = 20 - 2 - (book.free(CAMPAIGN, TOTAL) or 0)
    assert book.elsewhere(CAMPAIGN, 0) == {TOTAL: held}
    assert book.elsewhere(CAMPAIGN, 1) == {TOTAL: 2}
    book.register(0, 2, {CAMPAIGN: {TOTAL: 2}})
    assert book.elsewhere(CAMPAIGN, 0) == {TOTAL: held}


def test_a_limit_that_comes_later_counts_what_was_spent_before_it() -> None:
    book = make_book(None)
    book.report(0, 1, CAMPAIGN, {TOTAL: 7, SMS: 3})
    with pytest.raises(ValueError, match="no limit"):
        book.acquire(1, 1, 1, CAMPAIGN, {}, {TOTAL: 1})
    book.set_limits(CAMPAIGN, Limits(total=10, channels={1: 4}))
    assert book.acquire(1, 1, 2, CAMPAIGN, {}, {TOTAL: 9, SMS: 9}) == {TOTAL: (3, True, False), SMS: (1, True, False)}


def test_a_cancelled_message_can_be_paid_again() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 10})
    book.report(0, 1, CAMPAIGN, {TOTAL: 10})
    book.report(0, 1, CAMPAIGN, {TOTAL: 7})
    assert book.acquire(1, 1, 1, CAMPAIGN, {}, {TOTAL: 9}) == {TOTAL: (3, True, False)}
    assert book.audit() == []


def test_an_overspending_shard_is_noted_and_named() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 3})
    book.report(0, 1, CAMPAIGN, {TOTAL: 4})
    assert book.audit() == ["c (0, 0): shard 0 spent 4 and held 3"]


def test_limits_come_from_the_campaign() -> None:
    body = (
        b'{"budget": {"total": "1", "daily": "0.5", "per_channel": {"sms": "0.25"}}, "limits": {"daily_messages": 7}}'
    )
    limits = Limits.of(decode_campaign(body, "c"))
    assert limits == Limits(1_000_000, {1: 250_000}, 500_000, 7)
    assert [limits.on(bucket) for bucket in [TOTAL, SMS, (1, 0), (2, 99), (3, -4)]] == [
        1_000_000,
        250_000,
        None,
        500_000,
        7,
    ]
    assert Limits.of(decode_campaign(b"{}", "c")) == Limits()


def test_an_unknown_campaign_has_no_account() -> None:
    book = make_book()
    assert CAMPAIGN in book
    assert "other" not in book
    with pytest.raises(UnknownCampaign):
        book.ask(0, 1, 1, "other", {})


class Shards(RuleBasedStateMachine):
    """Shards that spend what they hold, cancel, die and lie silent, against a book whose limits change, and which is
    now and then read again from what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.paper = Paper()
        self.book = make_book(40, channels={1: 15}, daily=20, daily_messages=6)
        self.lives = [1] * SHARDS
        self.sequences = [0] * SHARDS
        self.held: list[dict[Bucket, int]] = [{} for _ in range(SHARDS)]
        self.spent: list[dict[Bucket, int]] = [{} for _ in range(SHARDS)]
        self.granted: list[set[Bucket]] = [set() for _ in range(SHARDS)]
        self.reported: list[dict[Bucket, int]] = [{} for _ in range(SHARDS)]  # what the book was told was spent
        self.lent: list[dict[Bucket, int]] = [{} for _ in range(SHARDS)]  # what it granted and did not get back
        self.note_limits(40, 15, 20, 6)

    def note_report(self, shard: int) -> None:
        self.reported[shard], self.lent[shard] = dict(self.spent[shard]), {}

    def note_limits(self, total: int, sms: int, daily: int, messages: int) -> None:
        self.limits = dict(zip(BUCKETS, [total, sms, daily, daily, messages], strict=True))
        self.ceilings = {bucket: max(limit, self.committed(bucket)) for bucket, limit in self.limits.items()}

    def committed(self, bucket: Bucket) -> int:
        """What was really spent, and what can be: held by shards."""
        return sum(pages[shard].get(bucket, 0) for pages in (self.spent, self.held) for shard in range(SHARDS))

    @rule(
        shard=st.integers(0, SHARDS - 1),
        needs=st.dictionaries(st.sampled_from(BUCKETS), st.integers(1, 30), min_size=1),
    )
    def acquire(self, shard: int, needs: dict[Bucket, int]) -> None:
        self.sequences[shard] += 1
        self.held[shard] = {}
        request = (shard, self.lives[shard], self.sequences[shard], CAMPAIGN)
        try:
            grants = self.book.acquire(*request, self.spent[shard], needs)
        except ShardUnavailable:
            self.note_report(shard)
            self.granted[shard] = set()
            others = set.union(*(granted for other, granted in enumerate(self.granted) if other != shard))
            assert others & needs.keys()
            return
        self.note_report(shard)
        self.held[shard] = {bucket: amount for bucket, (amount, _, _) in grants.items()}
        self.lent[shard] = dict(self.held[shard])
        self.granted[shard] = {bucket for bucket, (amount, _, _) in grants.items() if amount}
        for bucket, (amount, last, _) in grants.items():
            assert last or amount >= needs[bucket]
            if last:  # as far as the book was told: what was cancelled since is not yet
                pages = (*self.reported, *self.lent)
                assert sum(page.get(bucket, 0) for page in pages) >= self.limits[bucket]
        self.paper.write(self.book)
        for book in (self.book, self.paper.read(SHARDS)):
            assert book.acquire(*request, self.spent[shard], needs) == grants

    @rule(shard=st.integers(0, SHARDS - 1), share=st.integers(0, 4))
    def spend(self, shard: int, share: int) -> None:
        for bucket, held in self.held[shard].items():
            amount = held * share // 4
            self.held[shard][bucket] -= amount
            self.spent[shard][bucket] = self.spent[shard].get(bucket, 0) + amount

    @rule(shard=st.integers(0, SHARDS - 1), amount=st.integers(1, 5))
    def cancel(self, shard: int, amount: int) -> None:
        for bucket, spent in self.spent[shard].items():
            back = min(spent, amount)
            self.spent[shard][bucket] -= back
            self.held[shard][bucket] = self.held[shard].get(bucket, 0) + back

    @rule(shard=st.integers(0, SHARDS - 1))
    def recall(self, shard: int) -> None:
        self.held[shard] = {}
        self.granted[shard] = set()
        noted = self.book.recalled(shard, self.lives[shard], self.sequences[shard], CAMPAIGN, self.spent[shard])
        assert noted == (self.sequences[shard] == dict(self.book.holders(CAMPAIGN)).get(shard, 0))
        if noted:
            self.note_report(shard)

    @rule(shard=st.integers(0, SHARDS - 1), share=st.integers(0, 4))
    def die(self, shard: int, share: int) -> None:
        """The next life knows what was written down: of what was spent since the last report some may be missing."""
        told = self.reported[shard]
        for bucket, spent in self.spent[shard].items():
            since = max(0, spent - told.get(bucket, 0))
            self.spent[shard][bucket] = spent - since * share // 4
        self.lives[shard] += 1
        self.sequences[shard], self.held[shard] = 0, {}
        self.granted[shard] = set()
        self.book.register(shard, self.lives[shard], {CAMPAIGN: self.spent[shard]})
        self.note_report(shard)

    @precondition(lambda self: not any(any(held.values()) for held in self.held))
    @rule(total=st.integers(0, 80), sms=st.integers(0, 30), daily=st.integers(0, 40), messages=st.integers(0, 12))
    def change_limits(self, total: int, sms: int, daily: int, messages: int) -> None:
        for shard in range(SHARDS):
            self.book.report(shard, self.lives[shard], CAMPAIGN, self.spent[shard])
            self.note_report(shard)
            self.granted[shard] = set()
        self.book.set_limits(CAMPAIGN, Limits(total, {1: sms}, daily, messages))
        self.note_limits(total, sms, daily, messages)

    @rule()
    def begin_again(self) -> None:
        self.paper.write(self.book)
        self.book = self.paper.read(SHARDS)

    @invariant()
    def balances(self) -> None:
        assert self.book.audit() == []

    @invariant()
    def settled_and_outstanding_and_free_are_the_limit(self) -> None:
        """Added up from what this test told the book and got from it."""
        settled = {b: sum(page.get(b, 0) for page in self.reported) for b in BUCKETS}
        assert self.book.spent(CAMPAIGN) == {bucket: amount for bucket, amount in settled.items() if amount}
        for bucket, limit in self.limits.items():
            outstanding = sum(page.get(bucket, 0) for page in self.lent)
            free = self.book.free(CAMPAIGN, bucket)
            assert settled[bucket] + outstanding + free == max(limit, settled[bucket] + outstanding)
            assert self.committed(bucket) <= settled[bucket] + outstanding

    @invariant()
    def nothing_is_overspent(self) -> None:
        for bucket in BUCKETS:
            assert self.committed(bucket) <= self.ceilings[bucket]


TestShards = Shards.TestCase
TestShards.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_a_request_that_comes_after_a_later_one_is_refused() -> None:
    book = make_book(10)
    assert book.ask(0, 1, 2, CAMPAIGN, {}) is None
    with pytest.raises(ShardUnavailable, match="since its request 1"):
        book.ask(0, 1, 1, CAMPAIGN, {})
    assert book.grant(0, 1, 2, CAMPAIGN, {TOTAL: 10}) == {TOTAL: (10, True, False)}


def test_a_recall_that_an_earlier_life_answered_is_stale() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 4})
    book.register(0, 2, {CAMPAIGN: {TOTAL: 1}})
    book.acquire(0, 2, 1, CAMPAIGN, {TOTAL: 1}, {TOTAL: 3})
    assert not book.recalled(0, 1, 1, CAMPAIGN, {TOTAL: 4})
    assert book.spent(CAMPAIGN) == {TOTAL: 1}


def test_a_late_answer_to_a_recall_does_not_overtake_the_next_request() -> None:
    book = make_book(10)
    book.acquire(0, 1, 1, CAMPAIGN, {}, {TOTAL: 4})
    assert book.ask(0, 1, 2, CAMPAIGN, {TOTAL: 1}) is None
    assert book.recalled(0, 1, 1, CAMPAIGN, {TOTAL: 1})
    assert book.grant(0, 1, 2, CAMPAIGN, {TOTAL: 9}) == {TOTAL: (9, True, False)}
