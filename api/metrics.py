"""Metrics: requests by path template, decisions by channel and reason; nothing that names a person."""

from __future__ import annotations

from collections.abc import Iterable

from litestar.plugins.prometheus import PrometheusConfig
from prometheus_client import Counter

__all__ = ["DECISIONS", "count_decisions", "count_refused", "request_metrics"]

DECISIONS = Counter(
    "madan_sara_decisions",
    "Decisions by status and, where scheduled, channel or, where blocked, reason.",
    ["status", "label"],
)
REFUSED = Counter(
    "madan_sara_requests_refused", "Requests refused before anybody looked at them: too many were under way."
)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def request_metrics() -> PrometheusConfig:
    """Counts, errors and durations of requests by path template, never by path: a path holds ids."""
    return PrometheusConfig(app_name="madan_sara", prefix="madan_sara", group_path=True, buckets=list(_SECONDS))


def count_decisions(tally: Iterable[tuple[str, str, int]]) -> None:
    """Adds (status, channel or reason, how many)."""
    for status, label, count in tally:
        DECISIONS.labels(status, label).inc(count)


def count_refused() -> None:
    """Adds one; the counts by path have none of them."""
    REFUSED.inc()
