"""Metrics: requests by path template, decisions by channel and reason; nothing that names a person."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.dispatcher import DeliveryFigures

__all__ = [
    "DECISIONS",
    "REQUESTS",
    "count_decisions",
    "count_refused",
    "delivery_text",
    "request_began",
    "request_ended",
]

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


class _DeliveryCollector(Collector):
    """What the dispatcher counts, in its own process."""

    def __init__(self, figures: DeliveryFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        figures = self._figures
        attempts = CounterMetricFamily(
            "madan_sara_attempts", "Attempts to deliver, by channel and outcome.", labels=["channel", "outcome"]
        )
        for (channel, outcome), count in sorted(figures.outcomes.items()):
            attempts.add_metric([channel, outcome], count)
        age = GaugeMetricFamily(
            "madan_sara_queue_age_seconds", "How long the message waits that has been due longest.", labels=["channel"]
        )
        for channel, seconds in figures.queue_age_s.items():
            age.add_metric([channel], seconds)
        claimed = GaugeMetricFamily("madan_sara_messages_claimed", "Messages on their way out.", labels=["channel"])
        for channel, count in figures.under_way.items():
            claimed.add_metric([channel], count)
        families: list[Metric] = [attempts, age, claimed]
        if figures.settled_until is not None:
            families.append(
                GaugeMetricFamily(
                    "madan_sara_settled_until_seconds",
                    "Everything that was due by this instant has left; absent while something is on its way.",
                    figures.settled_until,
                )
            )
        return families


def delivery_text(figures: DeliveryFigures) -> bytes:
    """The figures of delivery as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_DeliveryCollector(figures))
    return generate_latest(registry)
