"""Percentiles of waiting times, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def latency_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the longest; empty where nothing was measured."""
    if not seconds:
        return {}
    p50, p99, longest = np.percentile(np.asarray(seconds) * 1000, [50, 99, 100])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(longest), 3)}
