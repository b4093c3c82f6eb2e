"""Each step of a request in process: a batch of 10,000 in JSON and in Arrow, and a single send.

Recipients are known already: each call asks about the same people with another dedup key, a day later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.answers import check_batch
from bench.batch_form import ARROW, JSON, BatchForm, shape_of
from bench.batches import BATCH, CAMPAIGN, CAMPAIGN_BODY, FIRST_DAY, dedup_key
from bench.journey import DAY
from bench.population import send_body
from engine import Engine

FORMS: dict[str, BatchForm] = {"json": JSON, "arrow": ARROW}


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest) -> BatchForm:
    return FORMS[request.param]


@pytest.fixture
def engine() -> Engine:
    engine = Engine()
    engine.put_campaign({**CAMPAIGN_BODY, "budget": {"total": "1000000.00"}}, CAMPAIGN)
    return engine


def test_parse_a_batch(benchmark: BenchmarkFixture, engine: Engine, form: BatchForm) -> None:
    ask = form.ask(CAMPAIGN, CAMPAIGN, form.people(0, BATCH))
    request = benchmark(engine.router.parse_batch, ask.body, shape_of(form, ask))
    assert request.size == BATCH


def test_render_a_batch(benchmark: BenchmarkFixture, engine: Engine, form: BatchForm) -> None:
    ask = form.ask(CAMPAIGN, CAMPAIGN, form.people(0, BATCH))
    shape = shape_of(form, ask)
    request = engine.router.parse_batch(ask.body, shape)
    decided = engine.shards[0].decide(request.part(0, FIRST_DAY))
    rendered, _ = benchmark(shape.render, request, {0: decided}, "b-micro")
    check_batch(form.read(rendered), 0, BATCH)


def test_make_a_part(benchmark: BenchmarkFixture, engine: Engine) -> None:
    request = engine.router.parse_batch(JSON.ask(CAMPAIGN, CAMPAIGN, JSON.people(0, BATCH)).body)
    assert len(benchmark(request.part, 0, FIRST_DAY)) > BATCH


def test_decide_a_batch(benchmark: BenchmarkFixture, engine: Engine) -> None:
    people = JSON.people(0, BATCH)

    def parts() -> Iterator[bytes]:
        for day in count():
            request = engine.router.parse_batch(JSON.ask(CAMPAIGN, dedup_key(day), people).body)
            yield request.part(0, FIRST_DAY + day * DAY)

    left = parts()
    engine.shards[0].decide(next(left))
    measure: Callable[..., bytes] = benchmark.pedantic  # untyped
    decided = measure(engine.shards[0].decide, setup=lambda: ((next(left),), {}), rounds=50)
    assert len(decided) > BATCH


def test_a_single_send(benchmark: BenchmarkFixture, engine: Engine) -> None:
    numbers = count()

    def send() -> bytes:
        request = engine.router.parse_send(send_body(CAMPAIGN, next(numbers)))
        decided = engine.shards[0].decide(request.part(0, FIRST_DAY))
        return request.replies({0: decided}).render_sends()[0][0]

    assert b'"scheduled"' in benchmark(send)
