"""A part on its way to its decisions: who is meant, and what the kernels worked out for every row."""

from __future__ import annotations

from typing import NamedTuple

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
