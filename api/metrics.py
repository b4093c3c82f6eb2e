"""Metrics: requests by path template, decisions by channel and reason; nothing that names a person."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["DECISIONS", "REQUESTS", "count_decisions", "count_refused", "request_began", "request_ended"]

DECISIONS = Counter(
    "madan_sara_decisions",
    "Decisions by status and, where scheduled, channel or, where blocked, reason.",
    ["status", "label"],
)
REFUSED = Counter(
    "madan_sara_requests_refused", "Requests refused before anybody looked at them: too many were under way."
)
_BY = ("method", "path", "status_code")
REQUESTS = Counter("madan_sara_requests", "Requests by path template and status.", _BY)
_SECONDS = Histogram(
    "madan_sara_request_duration_seconds",
    "From a request's head to the last of its answer.",
    _BY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_IN_PROGRESS = Gauge("madan_sara_requests_in_progress", "Requests that are not answered yet.")


class _Figures(NamedTuple):
    """Those of one method, path template and status."""

    requests: Counter
    seconds: Histogram


def request_began() -> float:
    """When, for `request_ended`."""
    _IN_PROGRESS.inc()
    return time.perf_counter()


def request_ended(method: str, path_template: str, status: int, began: float) -> None:
    """Counts a request and its time by path template, never by path: a path holds ids.

    Litestar's own takes a tenth of what a single send costs the front end; this looks its figures up once.
    """
    _IN_PROGRESS.dec()
    figures = _figures(method, path_template, status)
    figures.requests.inc()
    figures.seconds.observe(time.perf_counter() - began)


@cache
def _figures(method: str, path_template: str, status: int) -> _Figures:
    """Kept for good: there are as many as the API has routes and statuses."""
    labels = (method, path_template, str(status))
    return _Figures(REQUESTS.labels(*labels), _SECONDS.labels(*labels))


def count_decisions(tally: Iterable[tuple[str, str, int]]) -> None:
    """Adds (status, channel or reason, how many)."""
    for status, label, count in tally:
        _decisions(status, label).inc(count)


@cache
def _decisions(status: str, label: str) -> Counter:
    """Kept for good: there are as many as channels and reasons."""
    return DECISIONS.labels(status, label)


def count_refused() -> None:
    """Adds one; the counts by path have none of them."""
    REFUSED.inc()
