"""The engine in process on one core: decisions a second of one shard that knows a million people, and what parsing and
rendering add."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from bench import checks
from bench.answers import BatchAnswer, Outcome, check_batch
from bench.batches import BATCH, CAMPAIGN, CAMPAIGN_BODY, FIRST_DAY, dedup_key, outcomes_of
from bench.journey import DAY
from bench.population import batch_body, people
from bench.result import AnswersWrong, Result

if TYPE_CHECKING:
    from engine import Engine

BATCHES = 100
"""A million people."""

BUDGET = {"total": "500000.00", "daily": "50000.00", "per_channel": {"sms": "200000.00"}}
"""For ten times as many messages."""

BATCHES_FOLLOWED = 5
"""Those whose caps are checked over all days."""

REPEATS = 5
TARGET = 1_000_000
STAGES = ("parse", "decide", "render")


def engine_decisions() -> Result:
    """People and days as in `http_batch_json`, ten times as many, without Ray and HTTP, in this process."""
    from engine import Engine  # noqa: PLC0415 - compiles kernels, so only when asked for

    crowd = [people(index * BATCH, BATCH) for index in range(BATCHES)]
    engine, told, rounds = Engine(), _Told(), []
    engine.put_campaign({"id": CAMPAIGN, **CAMPAIGN_BODY, "budget": BUDGET})
    for day in range(REPEATS + 1):
        seconds, answers = _round(engine, crowd, day)
        told.hear(answers, day)
        rounds.append(seconds)
    told.check(engine.status(CAMPAIGN, FIRST_DAY + REPEATS * DAY))
    decisions = BATCHES * BATCH
    rates = {stage: [decisions / seconds[stage] for seconds in rounds] for stage in STAGES}
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


def _round(engine: Engine, crowd: list[bytes], day: int) -> tuple[dict[str, float], list[bytes]]:
    """Seconds in each stage over everyone, and the answers."""
    seconds, answers, now = dict.fromkeys(STAGES, 0.0), [], FIRST_DAY + day * DAY
    for some in crowd:
        body = batch_body(CAMPAIGN, dedup_key(day), some)
        began = perf_counter()
        request = engine.router.parse_batch(body)
        part = request.part(0, now)
        parsed = perf_counter()
        decided = engine.shards[0].decide(part)
        ended = perf_counter()
        answers.append(request.replies({0: decided}).render_batch("b-bench"))
        seconds["render"] += perf_counter() - ended
        seconds["decide"] += ended - parsed
        seconds["parse"] += parsed - began
    return seconds, answers


class _Told:
    """What was answered so far: everyone once and in order, and of the first people every decision."""

    def __init__(self) -> None:
        self.scheduled = 0
        self.outcomes: list[Outcome] = []

    def hear(self, answers: list[bytes], day: int) -> None:
        for index, raw in enumerate(answers):
            answer = msgspec.json.decode(raw, type=BatchAnswer)
            check_batch(answer, index * BATCH, BATCH)
            self.scheduled += answer.counts["scheduled"]
            if index < BATCHES_FOLLOWED:
                self.outcomes += outcomes_of(answer, index * BATCH, day)

    def check(self, status: dict[str, Any]) -> None:
        """Against the campaign's status in the end."""
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
