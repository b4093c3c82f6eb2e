"""A book that is read from what was written of it is the book that wrote it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.budget_manager import Bucket
from engine.errors import ShardUnavailable, UnknownCampaign
from engine.ledger import BudgetLedger, Limits, Superseded
from engine.ledger_images import Amounts, Page
from tests.engine.paper import Paper, content

SHARDS = 3
CAMPAIGNS = ("c", "two words")
BUCKETS: list[Bucket] = [(0, 0), (1, 1), (2, 5), (3, 5), *((4, minute) for minute in range(8))]

shards = st.integers(0, SHARDS - 1)
campaigns = st.sampled_from(CAMPAIGNS)
amounts = st.dictionaries(st.sampled_from(BUCKETS), st.integers(1, 9), max_size=6)
limits = st.builds(
    Limits,
    total=st.none() | st.integers(0, 60),
    channels=st.dictionaries(st.just(1), st.integers(0, 20)),
    daily=st.none() | st.integers(0, 30),
    daily_messages=st.none() | st.integers(0, 9),
    per_minute=st.none() | st.integers(0, 3),
)
steps = st.one_of(
    st.tuples(st.just("set_limits"), campaigns, limits),
    st.tuples(st.just("register"), shards, st.dictionaries(campaigns, amounts)),
    st.tuples(st.just("ask"), shards, campaigns, amounts),
    st.tuples(st.just("grant"), shards, campaigns, amounts),
    st.tuples(st.just("report"), shards, campaigns, amounts),
    st.tuples(st.just("recalled"), shards, campaigns, amounts),
    st.tuples(st.just("repeat"), shards, campaigns),
    st.tuples(st.just("write")),
)


class Told:
    """Whoever asks a book: keeps the numbers of lives and requests."""

    def __init__(self) -> None:
        self.lives = [0] * SHARDS
        self.sequence = 0

    def tell(self, books: list[BudgetLedger], step: tuple[Any, ...]) -> None:
        """The same to each book, which answers the same."""
        self.sequence += 1
        answers = [self.outcome(book, step) for book in books]
        assert answers == answers[:1] * len(books)
        if step[0] == "register" and answers[0][0] == "returned":
            self.lives[step[1]] += 1

    def outcome(self, book: BudgetLedger, step: tuple[Any, ...]) -> tuple[str, Any]:
        try:
            return "returned", self.call(book, *step)
        except (ShardUnavailable, Superseded, UnknownCampaign, ValueError) as error:
            return "raised", str(error)

    def call(self, book: BudgetLedger, what: str, *arguments: Any) -> Any:  # noqa: PLR0911
        match what, arguments:
            case "set_limits", (campaign_id, limits):
                return book.set_limits(campaign_id, limits)
            case "register", (shard, spent):
                return book.register(shard, self.lives[shard] + 1, spent)
            case "ask", (shard, campaign_id, spent):
                return book.ask(shard, self.lives[shard], self.sequence, campaign_id, spent)
            case "grant", (shard, campaign_id, needs):
                answer = book.ask(shard, self.lives[shard], self.sequence, campaign_id, {})
                return answer or book.grant(shard, self.lives[shard], self.sequence, campaign_id, needs)
            case "report", (shard, campaign_id, spent):
                return book.report(shard, self.lives[shard], campaign_id, spent)
            case "recalled", (shard, campaign_id, spent):
                sequence = dict(book.holders(campaign_id)).get(shard, 0)
                return book.recalled(shard, self.lives[shard], sequence, campaign_id, spent)
            case "repeat", (shard, campaign_id):
                sequence = dict(book.holders(campaign_id)).get(shard, 0)
                return book.ask(shard, self.lives[shard], sequence, campaign_id, {})


def everything(book: BudgetLedger) -> list[Any]:
    known = [campaign_id for campaign_id in CAMPAIGNS if campaign_id in book]
    return [
        sorted(book.audit()),
        [book.spent(campaign_id) for campaign_id in known],
        [book.holders(campaign_id) for campaign_id in known],
        [book.free(campaign_id, bucket) for campaign_id in known for bucket in BUCKETS],
        [book.elsewhere(campaign_id, shard) for campaign_id in known for shard in range(SHARDS)],
    ]


@pytest.fixture(scope="module", autouse=True)
def silent() -> Iterator[None]:
    """These shards spend what they like, and every time the book says so."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40), st.lists(steps, max_size=8))
def test_it_is_the_same_book_and_answers_the_same(before: list[Any], after: list[Any]) -> None:
    """Faults of the shards included: what the book noted of them is not forgotten."""
    told, book, paper = Told(), BudgetLedger(SHARDS), Paper()
    for step in before:
        paper.write(book) if step == ("write",) else told.tell([book], step)
    paper.write(book)
    again = paper.read(SHARDS)
    assert content(again) == content(book)
    assert everything(again) == everything(book)
    for step in after:
        if step != ("write",):
            told.tell([book, again], step)
    assert everything(again) == everything(book)


def test_a_grant_writes_what_it_is_about_and_no_more() -> None:
    book, paper = BudgetLedger(2), Paper()
    book.set_limits("c", Limits(total=1000, per_minute=1))
    book.register(0, 1, {})
    book.acquire(0, 1, 1, "c", {}, {(4, minute): 1 for minute in range(500)})
    book.report(0, 1, "c", {(4, minute): 1 for minute in range(500)})
    assert paper.write(book) > 500
    book.acquire(0, 1, 2, "c", {}, {(0, 0): 5})
    images = book.take_images()
    assert sorted(type(image).__name__ for image in images) == ["Amounts", "Page"]
    assert Amounts("c", 0, (0, 0), 0, 250) in images
    (page,) = (image for image in images if isinstance(image, Page))
    assert page == ("c", 0, 2, 2, {(0, 0): (250, False, 0)})
    assert book.take_images() == []


def test_full_minutes_that_an_answer_tells_of_are_not_written() -> None:
    book = BudgetLedger(2)
    book.set_limits("c", Limits(per_minute=1))
    for shard in range(2):
        book.register(shard, 1, {})
    minutes = {(4, minute): 1 for minute in range(100)}
    book.acquire(0, 1, 1, "c", {}, minutes)
    book.report(0, 1, "c", minutes)
    book.take_images()
    grants = book.acquire(1, 1, 1, "c", {}, {(4, 50): 1})
    assert len(grants) == 100
    assert [image.granted for image in book.take_images() if isinstance(image, Page)] == [{(4, 50): (0, True, 0)}]
    assert book.ask(1, 1, 1, "c", {}) == grants


@pytest.mark.parametrize("loaded", [False, True])
def test_a_ceiling_outlives_the_book(loaded: bool) -> None:
    """What was committed under a higher limit is no fault, and one more is."""
    book, paper = BudgetLedger(1), Paper()
    book.set_limits("c", Limits(total=10))
    book.register(0, 1, {})
    book.acquire(0, 1, 1, "c", {}, {(0, 0): 8})
    book.set_limits("c", Limits(total=5))
    paper.write(book)
    if loaded:
        book = paper.read(1)
    assert book.audit() == []
    book.report(0, 1, "c", {(0, 0): 9})
    assert book.audit() == ["c (0, 0): shard 0 spent 9 and held 8", "c (0, 0): 9 settled and 0 outstanding of 5"]
