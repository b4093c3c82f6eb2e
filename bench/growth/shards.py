"""Growth over shards: the batches of `http_batch_json` and single sends, at 1, 2 and 4 of them."""

from __future__ import annotations

from bench.batches import Size
from bench.growth.batch_sizes import measure_size
from bench.growth.points import ShardsPoint, middle_and_range
from bench.http_send import send_singly
from bench.latency import latency_ms
from bench.load import IN_FLIGHT
from bench.progress import tell
from bench.server import Server

SHARDS = (1, 2, 4)
SIZE = Size(batch=10_000, batches=8, repeats=5)
SENDS_PER_S = 200
WARM_UP_S, MEASURED_S = 2, 10

METHOD = (
    f"servers of their own; {SIZE.batches} JSON batches of {SIZE.batch:,} different people, {IN_FLIGHT} in flight, "
    f"{SIZE.repeats} repeats a day apart after warm-up and first contact, median (range), and the time of each batch; "
    f"on another single sends, open loop, {SENDS_PER_S} a second for {MEASURED_S} s after {WARM_UP_S} s of warm-up"
)


def shards_curve() -> list[ShardsPoint]:
    """Raises `AnswersWrong`."""
    points = []
    for shards in SHARDS:
        tell(f"shards: {shards}")
        with Server("--clock", "manual", "--shards", str(shards)) as server:
            measured = measure_size(server, SIZE)
        # Under the manual clock each request asks the ledger what time it is.
        with Server("--shards", str(shards)) as server:
            singly = send_singly(server, SENDS_PER_S, WARM_UP_S, MEASURED_S)
        middle, around = middle_and_range(measured.rates[1:])
        batch, send = latency_ms(measured.waits), latency_ms(singly.seconds)
        points.append(
            ShardsPoint(
                shards=shards,
                decisions_per_s=middle,
                decisions_per_s_range=around,
                batch_p50_ms=batch["p50"],
                batch_p99_ms=batch["p99"],
                batches=len(measured.waits),
                send_p50_ms=send["p50"],
                send_p99_ms=send["p99"],
                send_longest_ms=send["max"],
                sends=len(singly.seconds),
                send_failures=len(singly.failures),
            )
        )
    return points
