"""Growth of the longest stall: single decisions while pages of the state are written, by the people known."""

from __future__ import annotations

from bench.checkpoint import SENDERS, wait_beside_pages
from bench.growth.points import StallPoint
from bench.latency import latency_ms
from bench.population import crowd
from bench.progress import tell

RECIPIENTS = (10_000, 100_000, 1_000_000)
ROUNDS = (3_000, 3_000, 3_000)
"""Decisions a round, after 1,000 of warm-up: everybody once, of the fewest people too."""

METHOD = (
    f"one shard in process with its file in the temporary directory; {SENDERS} senders, {len(ROUNDS)} rounds of "
    f"{ROUNDS[0]:,} single decisions after warm-up, each from asked to durable; the longest of all (range of the "
    "longest of each round)"
)


def stall_curve() -> list[StallPoint]:
    """Raises `AnswersWrong`."""
    points = []
    for recipients in RECIPIENTS:
        tell(f"longest stall with {recipients:,} people")
        waited = wait_beside_pages(recipients, ROUNDS, crowd)
        latency = latency_ms([wait for waits in waited.rounds for wait in waits])
        longest = [latency_ms(waits)["max"] for waits in waited.rounds]
        points.append(
            StallPoint(
                recipients=recipients,
                p50_ms=latency["p50"],
                p99_ms=latency["p99"],
                longest_stall_ms=latency["max"],
                longest_stall_ms_range=(min(longest), max(longest)),
                sends=sum(ROUNDS),
                pages=waited.pages,
            )
        )
    return points
