"""Channel selector: in which order to try the channels for each recipient.

The rule (contract, section 4, step 3): the campaign's `priority` tier, then score plus boost (higher first), then
cost (lower first), then the channel order. The score weighs customer type, engagement, device, urgency and time of
day; a preferred channel gets a boost. Scores are compared to nine decimals, so that rounding never decides.
Engagement smooths the recipient's own counts by the published rate, time of day goes by the published hour weights
(`engine.learning`).

The arithmetic is `kernels.rank`, for all recipients of a part in one call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine._core import CHANNELS, Admission
from engine.columns import Features
from engine.config import (
    Settings,
    customer_type_table,
    device_table,
    factor_weights,
    urgency_table,
)
from engine.learning import CampaignFigures
from engine.rules import Rules
from kernels import NOT_PREFERRED, local_offset, rank

__all__ = ["ChannelSelector", "Ranking"]


FACTORS = ("customer_type", "engagement", "device", "urgency", "time_of_day")


class Ranking(NamedTuple):
    """Rows of 7: channels in the order to try them u8 (255 after the last), score plus boost i64 in billionths."""

    order: npt.NDArray[np.uint8]
    values: npt.NDArray[np.int64]


class ChannelSelector:
    """Ranks channels by the configured weights and tables."""

    def __init__(self, settings: Settings) -> None:
        self._factor_weights = factor_weights(settings)
        self._customer_type = customer_type_table(settings)
        self._prior_deliveries = settings.engagement.prior_deliveries
        self._device = device_table(settings)
        self._urgency = urgency_table(settings)

    @property
    def named_weights(self) -> dict[str, float]:
        """What each factor weighs, in the order of the sum."""
        return dict(zip(FACTORS, self._factor_weights.tolist(), strict=True))

    def factors(
        self, admission: Admission, features: Features, rules: Rules, figures: CampaignFigures, row: int
    ) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """The five factors and the boost of each channel for one recipient, by name, as the kernel finds them."""
        urgency = rules.urgency if admission.urgency is None else admission.urgency
        customer_type, device = int(features.customer_type[row]), int(features.device[row])
        offset = local_offset(int(features.zone[row]), np.array([admission.now], dtype=np.int64))
        hour = (admission.now + int(offset[0])) // 3600 % 24
        hours = figures.hour_weights[:, customer_type]
        highest = hours.max(axis=1)
        time_of_day = np.divide(hours[:, hour], highest, out=np.zeros(len(CHANNELS)), where=highest > 0)
        counts = int(features.counts_row[row])
        answered = self._prior_deliveries * figures.rates + features.engaged[counts]
        columns = (
            self._customer_type[customer_type],
            np.minimum(answered / (self._prior_deliveries + features.delivered[counts]), 1.0),
            self._device[device],
            self._urgency[urgency],
            time_of_day,
        )
        count = int(features.preference_count[row])
        places = features.preference_rank[row].tolist()
        factors, boosts = {}, {}
        for channel, name in enumerate(CHANNELS):
            factors[name] = {factor: float(column[channel]) for factor, column in zip(FACTORS, columns, strict=True)}
            place = places[channel]
            boosts[name] = 0.0 if place == NOT_PREFERRED else 0.10 * (count - place) / count
        return factors, boosts

    def rank(self, admission: Admission, features: Features, rules: Rules, figures: CampaignFigures) -> Ranking:
        """The candidate channels of each recipient, best first."""
        count = len(admission)
        ranking = Ranking(np.empty((count, 7), dtype=np.uint8), np.empty((count, 7), dtype=np.int64))
        urgency = rules.urgency if admission.urgency is None else admission.urgency
        rank(
            admission.now,
            features.candidates,
            features.customer_type,
            features.device,
            features.zone,
            features.preference_rank,
            features.preference_count,
            features.counts_row,
            features.delivered,
            features.engaged,
            self._factor_weights,
            self._customer_type,
            self._prior_deliveries,
            figures.rates,
            self._device,
            self._urgency[urgency],
            figures.hour_weights,
            rules.tiers,
            features.costs,
            ranking.order,
            ranking.values,
        )
        return ranking
