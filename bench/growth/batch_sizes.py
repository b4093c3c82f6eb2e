"""Growth over the size of batches: from one person a request to as many as the contract admits."""

from __future__ import annotations

from bench.batches import Measured, Size, measure
from bench.growth.points import BatchSizePoint, middle_and_range
from bench.latency import latency_ms
from bench.load import IN_FLIGHT
from bench.progress import tell
from bench.result import AnswersWrong
from bench.server import Server

SIZES = (
    Size(batch=1, batches=600, repeats=5),
    Size(batch=10, batches=600, repeats=5),
    Size(batch=100, batches=400, repeats=5),
    Size(batch=1_000, batches=60, repeats=5),
    Size(batch=10_000, batches=8, repeats=5),
    Size(batch=100_000, batches=4, repeats=3),
)
"""As many requests as a few seconds hold: their answers are checked, which takes longer than to decide."""

METHOD = (
    f"a server each with its defaults; JSON batches of different people, {IN_FLIGHT} in flight, repeats a day apart "
    "after warm-up and first contact, median (range), and the time of each request; under the manual clock, for which "
    "each request asks the ledger"
)


def batch_sizes_curve() -> list[BatchSizePoint]:
    """Raises `AnswersWrong`."""
    points = []
    for size in SIZES:
        tell(f"batches of {size.batch:,}")
        with Server("--clock", "manual") as server:
            measured = measure_size(server, size)
        middle, around = middle_and_range(measured.rates[1:])
        latency = latency_ms(measured.waits)
        points.append(
            BatchSizePoint(
                batch=size.batch,
                decisions_per_s=middle,
                decisions_per_s_range=around,
                p50_ms=latency["p50"],
                p99_ms=latency["p99"],
                requests=len(measured.waits),
            )
        )
    return points


def measure_size(server: Server, size: Size) -> Measured:
    """As `measure`; money that ran out would make some decisions cheap, and is no measure. Raises `AnswersWrong`."""
    measured = measure(server, size=size)
    if measured.blocked.get("over_budget"):
        raise AnswersWrong("money ran out, so that some decisions were cheap")
    return measured
