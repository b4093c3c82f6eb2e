"""The engine in process on one core: decisions a second of one shard, and what parsing and rendering add."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from bench.answers import BatchAnswer, check_batch
from bench.http_batch_json import (
    BATCH,
    BATCHES,
    CAMPAIGN,
    CAMPAIGN_BODY,
    FIRST_DAY,
    REPEATS,
    dedup_key,
)
from bench.journey import DAY
from bench.population import batch_body, people
from bench.result import AnswersWrong, Result

if TYPE_CHECKING:
    from engine import Engine

STAGES = ("parse", "decide", "render")


def engine_decisions() -> Result:
    """The same people and days as `http_batch_json`, without Ray and HTTP, in this process."""
    from engine import Engine  # noqa: PLC0415 - compiles kernels, so only when asked for

    crowd = [people(index * BATCH, BATCH) for index in range(BATCHES)]
    engine = Engine()
    engine.put_campaign({"id": CAMPAIGN, **CAMPAIGN_BODY})
    engine.send_batch_json(batch_body(CAMPAIGN, dedup_key(0), people(BATCHES * BATCH, BATCH)), FIRST_DAY)
    rounds = [_round(engine, crowd, day) for day in range(REPEATS + 1)]
    _check(engine, rounds[-1][1], FIRST_DAY + REPEATS * DAY)
    decisions = BATCHES * BATCH
    rates = {stage: [decisions / seconds[stage] for seconds, _ in rounds] for stage in STAGES}
    known, first = sorted(rates["decide"][1:]), rates["decide"][0]
    middle = median(known)
    return Result(
        name="engine",
        headline=f"{middle:,.0f} decisions a second ({known[0]:,.0f} to {known[-1]:,.0f}); "
        f"{first:,.0f} on first contact",
        target="",
        reached=None,
        method=f"one shard in process on one core, {BATCHES} batches of {BATCH:,} different people, columns to "
        f"columns; {REPEATS} repeats a day apart after warm-up and first contact, median (range); "
        f"besides, parsing takes {median(rates['parse'][1:]):,.0f} and rendering {median(rates['render'][1:]):,.0f} "
        f"people a second",
        figures={
            "decisions_per_s_core": round(middle),
            "decisions_per_s_core_range": [round(known[0]), round(known[-1])],
            "decisions_per_s_core_first_contact": round(first),
            "parsed_per_s": round(median(rates["parse"][1:])),
            "rendered_per_s": round(median(rates["render"][1:])),
            "batch": BATCH,
            "batches": BATCHES,
            "repeats": REPEATS,
        },
    )


def _round(engine: Engine, crowd: list[bytes], day: int) -> tuple[dict[str, float], list[bytes]]:
    """Seconds in each stage over everyone, and the answers."""
    seconds, answers, now = dict.fromkeys(STAGES, 0.0), [], FIRST_DAY + day * DAY
    bodies = [batch_body(CAMPAIGN, dedup_key(day), some) for some in crowd]
    for body in bodies:
        began = perf_counter()
        request = engine.router.parse_batch(body)
        part = request.part(0, now)
        parsed = perf_counter()
        decided = engine.shards[0].decide(part)
        ended = perf_counter()
        answers.append(request.render_batch({0: decided}, "b-bench"))
        seconds["render"] += perf_counter() - ended
        seconds["decide"] += ended - parsed
        seconds["parse"] += parsed - began
    return seconds, answers


def _check(engine: Engine, answers: list[bytes], now: int) -> None:
    """The last round answered everyone once and in order, and the campaign's status has all the messages."""
    decoded = [msgspec.json.decode(raw, type=BatchAnswer) for raw in answers]
    for index, answer in enumerate(decoded):
        check_batch(answer, index * BATCH, BATCH)
    status: dict[str, Any] = engine.status(CAMPAIGN, now)
    if sum(status["messages"].values()) < sum(answer.counts["scheduled"] for answer in decoded):
        raise AnswersWrong("the status of the campaign lacks messages")
