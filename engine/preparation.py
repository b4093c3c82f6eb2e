"""A part on its way to its decisions: who is meant, and what the kernels worked out for every row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from engine._core import Admission
from engine.channel_selector import Ranking
from engine.columns import Features
from engine.learning import CampaignFigures
from engine.rules import Rules
from engine.send_time_scheduler import Times

__all__ = ["Preparation"]


class Preparation(NamedTuple):
    """What the walk through the rows takes (`admission`, `times`, `ranking`), and what an explanation needs beside."""

    admission: Admission
    rules: Rules
    features: Features
    figures: CampaignFigures
    times: Times
    ranking: Ranking

    @property
    def plan(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays that `_core.Shard.commit` walks by, in its order."""
        return (self.figures.hour_weights, *self.times, *self.ranking)
