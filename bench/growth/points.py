"""The points of the curves, as they are measured, as `--json` has them and as the page reads them.

Seconds and milliseconds say so in their names; a range is from the lowest to the highest of the repeats, whose median
is the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

__all__ = [
    "BatchSizePoint",
    "Curves",
    "KnownPoint",
    "RestartPoint",
    "ShardsPoint",
    "StallPoint",
    "middle_and_range",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardsPoint:
    """JSON batches of 10,000 over HTTP, and single sends at a moderate rate, with so many shards."""

    shards: int
    decisions_per_s: int
    decisions_per_s_range: tuple[int, int]
    batch_p50_ms: float
    batch_p99_ms: float
    batches: int
    send_p50_ms: float
    send_p99_ms: float
    send_longest_ms: float
    sends: int
    send_failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizePoint:
    """JSON batches of so many people over HTTP; the time of each request while others are in flight."""

    batch: int
    decisions_per_s: int
    decisions_per_s_range: tuple[int, int]
    p50_ms: float
    p99_ms: float
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPoint:
    """The engine in process, on one core, when it knows so many people: parsing and rendering are in the times of
    batches, not in the decisions a second."""

    recipients: int
    decisions_per_s_core: int
    decisions_per_s_core_range: tuple[int, int]
    decisions_per_s_core_first_contact: int
    batch_p50_ms: float
    batch_p99_ms: float
    batches: int
    bytes_per_recipient: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPoint:
    """From `kill -9` of all shards and the ledger until everybody is answered again."""

    recipients: int
    seconds: float
    seconds_range: tuple[float, float]
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StallPoint:
    """Single decisions of one shard while pages are written; the longest answer of all, and the range of the longest
    of each round."""

    recipients: int
    p50_ms: float
    p99_ms: float
    longest_stall_ms: float
    longest_stall_ms_range: tuple[float, float]
    sends: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All of them; empty where one was not measured. `methods` says of each, by its name, how it was."""

    shards: Sequence[ShardsPoint] = ()
    batch_sizes: Sequence[BatchSizePoint] = ()
    known: Sequence[KnownPoint] = ()
    restart: Sequence[RestartPoint] = ()
    stall: Sequence[StallPoint] = ()
    methods: dict[str, str] = field(default_factory=dict)


def middle_and_range(rates: Sequence[float]) -> tuple[int, tuple[int, int]]:
    """Their median, the lowest and the highest."""
    return round(median(rates)), (round(min(rates)), round(max(rates)))
