"""What durability costs: the same batches, to a server that writes everything down and to one that writes nothing."""

from __future__ import annotations

from statistics import median

from bench.batches import BATCH, BATCHES, REPEATS, measure
from bench.load import IN_FLIGHT
from bench.result import Result
from bench.server import Server
from bench.without_durability import ForgetfulServer

ROUNDS = 2
TARGET = 0.70


def durability() -> Result:
    """One server after the other, in turn; what each answers is checked as in `http_batch_json`."""
    rates: dict[type[Server], list[float]] = {Server: [], ForgetfulServer: []}
    for _ in range(ROUNDS):
        for kind, measured in rates.items():
            with kind("--clock", "manual") as server:
                measured.extend(measure(server).rates[1:])
    with_it, without = (median(measured) for measured in rates.values())
    ratio = with_it / without
    return Result(
        name="durability",
        headline=f"{ratio:.2f} of what it would be without: {with_it:,.0f} decisions a second to {without:,.0f}",
        target=f"{TARGET:.2f}",
        reached=ratio >= TARGET,
        method=f"as http_batch_json: batches of {BATCH:,}, {IN_FLIGHT} in flight, {REPEATS} repeats of {BATCHES} "
        f"batches on each of {ROUNDS} servers with durability and {ROUNDS} without, in turn; medians",
        figures={
            "throughput_ratio": round(ratio, 3),
            "decisions_per_s": round(with_it),
            "decisions_per_s_without": round(without),
            "decisions_per_s_all": {
                kind.__name__: [round(rate) for rate in measured] for kind, measured in rates.items()
            },
        },
    )
