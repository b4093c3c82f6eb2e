"""The engine in process on one core: decisions a second of one shard that knows a million people, and what parsing and
rendering add."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from bench import checks
from bench.answers import BatchAnswer, Outcome, check_batch, dollars
from bench.batches import BATCH, CAMPAIGN, CAMPAIGN_BODY, FIRST_DAY, dedup_key, outcomes_of
from bench.journey import DAY
from bench.population import batch_body, people
from bench.result import AnswersWrong, Result

if TYPE_CHECKING:
    from engine import Engine

BATCHES = 100
"""A million people."""

FOLLOWED = 50_000
"""The first people, whose caps are checked over all days."""

REPEATS = 5
TARGET = 1_000_000
STAGES = ("parse", "decide", "render")


def engine_decisions() -> Result:
    """People and days as in `http_batch_json`, ten times as many, without Ray and HTTP, in this process."""
    from engine import Engine  # noqa: PLC0415 - compiles kernels, so only when asked for

    crowd = [people(index * BATCH, BATCH) for index in range(BATCHES)]
    engine, told, rounds = Engine(), Told(BATCH), []
    decisions = BATCHES * BATCH
    engine.put_campaign(campaign_for(decisions))
    for day in range(REPEATS + 1):
        decided = decide(engine, crowd, day)
        told.hear(range(0, decisions, BATCH), decided.answers, day)
        rounds.append(decided)
    told.check(engine.status(CAMPAIGN, FIRST_DAY + REPEATS * DAY))
    rates = {stage: [decisions / decided.seconds[stage] for decided in rounds] for stage in STAGES}
    known, first = sorted(rates["decide"][1:]), rates["decide"][0]
    middle = median(known)
    return Result(
        name="engine",
        headline=f"{middle:,.0f} decisions a second ({known[0]:,.0f} to {known[-1]:,.0f}); "
        f"{first:,.0f} on first contact",
        target=f"{TARGET:,}",
        reached=middle >= TARGET,
        method=f"one shard in process on one core, {BATCHES} batches of {BATCH:,} different people, columns to "
        f"columns; {REPEATS} repeats a day apart after first contact, median (range); "
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


def campaign_for(people: int) -> dict[str, Any]:
    """The campaign with money for ten times as many messages."""
    budget = {"total": dollars(people * 500_000), "daily": dollars(people * 50_000)}
    return {"id": CAMPAIGN, **CAMPAIGN_BODY, "budget": {**budget, "per_channel": {"sms": dollars(people * 200_000)}}}


class Decided(NamedTuple):
    """Seconds in each stage over all batches, seconds that each batch took in all stages, and the answers."""

    seconds: dict[str, float]
    waits: list[float]
    answers: list[bytes]


def decide(engine: Engine, crowd: Sequence[bytes], day: int) -> Decided:
    """Decides for each batch of people, which are JSON arrays."""
    seconds, waits, answers, now = dict.fromkeys(STAGES, 0.0), [], [], FIRST_DAY + day * DAY
    for some in crowd:
        body = batch_body(CAMPAIGN, dedup_key(day), some)
        began = perf_counter()
        request = engine.router.parse_batch(body)
        part = request.part(0, now)
        parsed = perf_counter()
        decided = engine.shards[0].decide(part)
        ended = perf_counter()
        answers.append(request.replies({0: decided}).render_batch("b-bench"))
        rendered = perf_counter()
        for stage, took in zip(STAGES, (parsed - began, ended - parsed, rendered - ended), strict=True):
            seconds[stage] += took
        waits.append(rendered - began)
    return Decided(seconds, waits, answers)


class Told:
    """What was answered so far, in batches of that size: everyone once and in order, and of the first people every
    decision."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self.scheduled = 0
        self.outcomes: list[Outcome] = []

    def hear(self, firsts: Sequence[int], answers: Sequence[bytes], day: int, follow: bool = True) -> None:
        """The answers of a day about the people from each first one on; what is not followed is not kept. Raises
        `AnswersWrong`."""
        for first, raw in zip(firsts, answers, strict=True):
            answer = msgspec.json.decode(raw, type=BatchAnswer)
            check_batch(answer, first, self._batch)
            self.scheduled += answer.counts["scheduled"]
            if follow and first < FOLLOWED:
                self.outcomes += outcomes_of(answer, first, day)

    def check(self, status: dict[str, Any]) -> None:
        """Against the campaign's status in the end. Raises `AnswersWrong`."""
        faults = [
            *checks.check_caps(self.outcomes, {CAMPAIGN: CAMPAIGN_BODY}),
            *checks.check_duplicates(self.outcomes, {CAMPAIGN: CAMPAIGN_BODY}),
        ]
        if sum(status["messages"].values()) != self.scheduled:
            faults.append(f"{self.scheduled} messages were scheduled, and the status has {status['messages']}")
        if status["blocked"].get("over_budget"):
            faults.append("money ran out, so that some decisions were cheap")
        if faults:
            raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")
