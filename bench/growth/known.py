"""Growth over the people that the engine knows, in process: what a decision takes, and what a person takes up.

Each point has a process of its own, so that no memory is there before that another point gave back:

    python -m bench.growth.known RECIPIENTS BATCH
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from bench.batches import CAMPAIGN, FIRST_DAY
from bench.engine_decisions import Told, campaign_for, decide
from bench.growth.points import KnownPoint, middle_and_range
from bench.journey import DAY
from bench.latency import latency_ms
from bench.memory import anonymous_bytes
from bench.population import crowd
from bench.progress import tell
from bench.result import AnswersWrong

if TYPE_CHECKING:
    from engine import Engine

RECIPIENTS = (10_000, 100_000, 1_000_000, 10_000_000)
BATCH = 10_000
ASKED = 50
"""Batches a repeat, at most: evenly over everybody."""

REPEATS = 5
REPEATS_OF_FEW = 20
"""Where a repeat is over in a hundredth of a second."""

METHOD = (
    f"one shard in process on one core, nothing written down, batches of {BATCH:,} different people, columns to "
    f"columns; after everybody's first contact {REPEATS} repeats a day apart of at most {ASKED} batches, evenly over "
    f"everybody ({REPEATS_OF_FEW} repeats where that is one batch), median (range); the times of batches are with "
    "parsing and rendering; memory is what the process takes up more than before the first contact (RssAnon), each "
    "person with a message"
)


def known_curve() -> list[KnownPoint]:
    """Raises `AnswersWrong`."""
    points = []
    for recipients in RECIPIENTS:
        tell(f"{recipients:,} people known")
        command = [sys.executable, "-m", __name__, str(recipients), str(BATCH)]
        ran = subprocess.run(command, check=False, capture_output=True)
        if ran.returncode:
            last_words = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise AnswersWrong(f"{recipients:,} people in process: {' '.join(last_words) or ran.returncode}")
        points.append(msgspec.json.decode(ran.stdout, type=KnownPoint))
    return points


def known_point(recipients: int, batch: int) -> KnownPoint:
    """In this process; `recipients` is a multiple of `batch`. Raises `AnswersWrong`."""
    from engine import Engine  # noqa: PLC0415 - compiles kernels, so only when asked for

    _warm_up(other := Engine(), batch)
    firsts = range(0, recipients, batch)
    step = max(1, len(firsts) // ASKED)
    engine, told, first_seconds = Engine(), Told(batch), 0.0
    engine.put_campaign(campaign_for(recipients))
    before = anonymous_bytes("self")
    for first in firsts:
        decided = decide(engine, [crowd(first, batch)], 0)
        told.hear([first], decided.answers, 0, follow=False)  # what it kept would count as the engine's memory
        first_seconds += decided.seconds["decide"]
    taken_up = anonymous_bytes("self") - before
    asked = firsts[::step][:ASKED]
    people = [crowd(first, batch) for first in asked]
    repeats = REPEATS if len(asked) > 1 else REPEATS_OF_FEW
    rates, waits = [], []
    for day in range(1, repeats + 1):
        decided = decide(engine, people, day)
        told.hear(asked, decided.answers, day)
        rates.append(len(asked) * batch / decided.seconds["decide"])
        waits += decided.waits
    told.check(engine.status(CAMPAIGN, FIRST_DAY + repeats * DAY))
    del other  # until here, so that what it takes up is not given to the next
    middle, around = middle_and_range(rates)
    latency = latency_ms(waits)
    return KnownPoint(
        recipients=recipients,
        decisions_per_s_core=middle,
        decisions_per_s_core_range=around,
        decisions_per_s_core_first_contact=round(recipients / first_seconds),
        batch_p50_ms=latency["p50"],
        batch_p99_ms=latency["p99"],
        batches=len(waits),
        bytes_per_recipient=round(taken_up / recipients),
    )


def _warm_up(engine: Engine, batch: int) -> None:
    """An engine that is not measured: code and tables that all share are there, and room for requests and answers."""
    engine.put_campaign(campaign_for(batch))
    told = Told(batch)
    for day in range(2):
        told.hear([0], decide(engine, [crowd(0, batch)], day).answers, day, follow=False)


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(msgspec.json.encode(known_point(*map(int, sys.argv[1:]))))
    except AnswersWrong as wrong:
        sys.exit(str(wrong))
