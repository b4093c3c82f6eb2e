"""Metrics: requests by path template, decisions by channel and reason; nothing that names a person."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple, cast

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Counter, Gauge, Histogram

from engine.errors import MadanSaraError

__all__ = ["DECISIONS", "RequestMetrics", "count_decisions", "count_refused"]

DECISIONS = Counter(
    "madan_sara_decisions",
    "Decisions by status and, where scheduled, channel or, where blocked, reason.",
    ["status", "label"],
)
REFUSED = Counter(
    "madan_sara_requests_refused", "Requests refused before anybody looked at them: too many were under way."
)
_BY = ("method", "path", "status_code")
_REQUESTS = Counter("madan_sara_requests", "Requests by path template and status.", _BY)
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


class RequestMetrics(ASGIMiddleware):
    """Counts requests and their time by path template, never by path: a path holds ids.

    Litestar's own does the same in a tenth of what a single send costs the front end; this looks its figures up once.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Runs the request; one that ends without an answer counts as 500.

        What the middleware behind this refuses is answered in front of it: its status is that of the error.
        """
        status = 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        _IN_PROGRESS.inc()
        try:
            await next_app(scope, receive, send_noted)
        except MadanSaraError as error:
            status = error.status
            raise
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            _IN_PROGRESS.dec()
            figures = _figures(cast("HTTPScope", scope)["method"], scope["path_template"], status)
            figures.requests.inc()
            figures.seconds.observe(time.perf_counter() - began)


@cache
def _figures(method: str, path_template: str, status: int) -> _Figures:
    """Kept for good: there are as many as the API has routes and statuses."""
    labels = (method, path_template, str(status))
    return _Figures(_REQUESTS.labels(*labels), _SECONDS.labels(*labels))


def count_decisions(tally: Iterable[tuple[str, str, int]]) -> None:
    """Adds (status, channel or reason, how many)."""
    for status, label, count in tally:
        DECISIONS.labels(status, label).inc(count)


def count_refused() -> None:
    """Adds one; the counts by path have none of them."""
    REFUSED.inc()
