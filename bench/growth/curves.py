"""`madan-sara bench --only growth`: curves over shards, batch sizes and people known."""

from __future__ import annotations

from dataclasses import asdict

from bench.growth import batch_sizes, known, restart, shards, stall
from bench.growth.points import Curves
from bench.result import Result

METHODS = {
    "shards": shards.METHOD,
    "batch_sizes": batch_sizes.METHOD,
    "known": known.METHOD,
    "restart": restart.METHOD,
    "stall": stall.METHOD,
}


def growth() -> Result:
    """One curve after the other, every answer checked. Raises `AnswersWrong`."""
    curves = Curves(
        shards=shards.shards_curve(),
        batch_sizes=batch_sizes.batch_sizes_curve(),
        known=known.known_curve(),
        restart=restart.restart_curve(),
        stall=stall.stall_curve(),
        methods=METHODS,
    )
    return Result(
        name="growth",
        headline=f"{curves.shards[0].shards} to {curves.shards[-1].shards} shards, batches of "
        f"{curves.batch_sizes[0].batch:,} to {curves.batch_sizes[-1].batch:,}, {curves.known[0].recipients:,} to "
        f"{curves.known[-1].recipients:,} people known",
        target="",
        reached=None,
        method="medians of repeats after warm-up; how each curve was measured is in --json and on the page made of it",
        figures=asdict(curves),
        rows=_rows(curves),
    )


def _rows(curves: Curves) -> tuple[tuple[str, str], ...]:
    """A line a curve, its points in order."""
    return (
        (
            "shards",
            "; ".join(
                f"{point.shards}: {point.decisions_per_s:,} decisions a second, p99 of a batch "
                f"{point.batch_p99_ms:.0f} ms, p99 of a single send {point.send_p99_ms:.1f} ms"
                for point in curves.shards
            ),
        ),
        (
            "batch size",
            "; ".join(
                f"{point.batch:,}: {point.decisions_per_s:,} decisions a second, p99 {point.p99_ms:.1f} ms"
                for point in curves.batch_sizes
            ),
        ),
        (
            "people known",
            "; ".join(
                f"{point.recipients:,}: {point.decisions_per_s_core:,} decisions a second and core, "
                f"{point.bytes_per_recipient:,} bytes a person"
                for point in curves.known
            ),
        ),
        ("restart", "; ".join(f"{point.recipients:,} people: {point.seconds:.1f} s" for point in curves.restart)),
        (
            "longest stall",
            "; ".join(f"{point.recipients:,} people: {point.longest_stall_ms:.1f} ms" for point in curves.stall),
        ),
    )
