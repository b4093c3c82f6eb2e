"""Learning: what events say of channels and hours, merged over shards into the figures that all decide by.

The rule (contract, section 4): what shards learn from each other is published once a minute, and under the manual
clock at each move of it. Between two publications a decision knows the recipient's own counts and these figures.

- A channel's rate p is engaged / delivered over all recipients of the campaign where anything was delivered, else over
  all campaigns, else the table's.
- An hour's weight is its engagement rate, smoothed towards best practice. With the table's rate r of the channel, best
  practice w in (0, 1] of the hour, K deliveries that a prior weighs, and E engaged of D delivered in that local hour:
      m0 = r · w      m1 = (K · m0 + E_all) / (K + D_all)      m2 = (K · m1 + E_campaign) / (K + D_campaign)
  each the mean of a Beta posterior whose prior has the mean before it and weighs K (beta-binomial model: Gelman et al.,
  Bayesian Data Analysis, 3rd ed., section 2.4). The weight is m2, to nine decimals: the sums come from shards in parts,
  and hours that are equal must not be told apart by how they were rounded.

Counts are weighed by age (engine/src/engagement.rs). Nothing here is per recipient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine._core import CHANNELS
from engine.config import Settings, best_hour_weights, engagement_rates, half_life_s

__all__ = ["CampaignFigures", "Figures", "Learned", "Learning"]

WEIGHT_DECIMALS = 9

Float64 = npt.NDArray[np.float64]


class Learned(NamedTuple):
    """What one shard has learned, as of an instant."""

    as_of: int
    counts: dict[str, Float64]
    """By campaign: f64[2, 7, 24], messages delivered and engaged by channel and local hour, decayed to `as_of`."""


class CampaignFigures(NamedTuple):
    """What is published of a campaign."""

    rates: Float64
    """f64[7], p by channel, in [0, 1]."""
    hour_weights: Float64
    """f64[7, 2, 24], by channel, customer type and local hour."""


class Figures(NamedTuple):
    """A publication."""

    everywhere: CampaignFigures
    """Over all campaigns."""
    campaigns: dict[str, CampaignFigures]
    """Of campaigns with events; others have the figures over all."""

    def of(self, campaign_id: str) -> CampaignFigures:
        """The figures that a campaign decides by."""
        return self.campaigns.get(campaign_id, self.everywhere)


class Learning:
    """Makes figures of what shards report."""

    def __init__(self, settings: Settings) -> None:
        self._half_life_s = half_life_s(settings)
        self._prior_deliveries = settings.best_hours.prior_deliveries
        self._table_rates = engagement_rates(settings)
        self._table_means = self._table_rates[:, np.newaxis, np.newaxis] * best_hour_weights(settings)

    def figures(self, reports: Sequence[Learned], now: int) -> Figures:
        """The figures at `now` from a report of each shard, in shard order; an older report is decayed up to it."""
        counts: dict[str, Float64] = {}
        for report in reports:
            left = 0.5 ** (max(0, now - report.as_of) / self._half_life_s)
            for campaign_id, learned in report.counts.items():
                counts[campaign_id] = counts.get(campaign_id, 0.0) + learned * left
        total = sum((counts[campaign_id] for campaign_id in sorted(counts)), np.zeros((2, len(CHANNELS), 24)))
        rates = _rates(total, self._table_rates)
        means = self._posterior(self._table_means, total)
        return Figures(
            self._published(rates, means, np.zeros_like(total)),
            {campaign_id: self._published(_rates(own, rates), means, own) for campaign_id, own in counts.items()},
        )

    def _published(self, rates: Float64, means: Float64, own: Float64) -> CampaignFigures:
        """`means` are those over all campaigns, `own` the campaign's counts."""
        return CampaignFigures(rates, np.round(self._posterior(means, own), WEIGHT_DECIMALS))

    def _posterior(self, prior_means: Float64, counts: Float64) -> Float64:
        """f64[7, 2, 24] from as much and f64[2, 7, 24]; customer types share counts, not priors."""
        delivered, engaged = counts[:, :, np.newaxis]
        k = self._prior_deliveries
        means: Float64 = (k * prior_means + engaged) / (k + delivered)
        return means


def _rates(counts: Float64, otherwise: Float64) -> Float64:
    """f64[7]: engaged / delivered, at most 1, of channels with anything delivered, else `otherwise`."""
    delivered, engaged = counts.sum(axis=2)
    known = delivered > 0
    with np.errstate(over="ignore"):
        shares = np.divide(engaged, delivered, out=otherwise.copy(), where=known)
    rates: Float64 = np.minimum(shares, 1.0)
    return rates
