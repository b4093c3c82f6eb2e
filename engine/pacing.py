"""Pacing: what a campaign committed so far against the ideal curve (contract, section 6).

The ideal spend rises evenly from nothing at `starts_at` to the total at `ends_at`. Everything is exact, in whole
micro-units, seconds and fractions of them; an amount is rounded to the nearest micro-unit, halves up, only when it
is answered, and the recommendation looks at the ratio before it is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Literal

__all__ = ["Pacing", "Recommendation"]

Recommendation = Literal["reduce", "maintain", "increase"]

DAY_S = 86_400
REDUCE_ABOVE = Fraction(110, 100)
INCREASE_BELOW = Fraction(90, 100)


@dataclass(frozen=True, slots=True)
class Pacing:
    """A campaign at `now`. `period` is [start, end); without it, or without a `total`, there is no ideal."""

    total: int | None
    """Micro-units, as is `committed`."""
    period: tuple[int, int] | None
    committed: int
    messages: int
    """Those that `committed` counts."""
    now: int

    @property
    def ideal(self) -> Fraction:
        """Micro-units that an even spend would have reached."""
        return self._share_gone * (self.total or 0)

    @property
    def ratio(self) -> Fraction | None:
        """Committed to ideal; None while the ideal is nothing."""
        return self.committed / self.ideal if self.ideal else None

    @property
    def recommendation(self) -> Recommendation:
        """What to do about the ratio; `maintain` where there is none."""
        ratio = self.ratio
        if ratio is None or INCREASE_BELOW <= ratio <= REDUCE_ABOVE:
            return "maintain"
        return "reduce" if ratio > REDUCE_ABOVE else "increase"

    @property
    def suggested_daily_messages(self) -> int:
        """Messages a day, at the mean cost so far, that use up what remains in the days that are left.

        Days are 24 hours and need not be whole; of a campaign that has not started all its days are left. 0 where
        nothing remains, no day is left, or nothing says what a message costs.
        """
        if self.total is None or self.period is None or not self.committed:
            return 0
        start, end = self.period
        seconds_left = end - max(self.now, start)
        if seconds_left <= 0:
            return 0
        remaining = max(0, self.total - self.committed)
        return floor(Fraction(remaining * self.messages * DAY_S, self.committed * seconds_left))

    @property
    def projected_total(self) -> Fraction:
        """Micro-units at the end, if it goes on as so far; what is committed where nothing tells how it goes on."""
        return self.committed / (self._share_gone or Fraction(1))

    @property
    def exhausted_at(self) -> int | None:
        """The first whole second at which the mean rate so far reaches the total; None if not within the period."""
        if self.total is None or self.period is None or not self.committed or not self._share_gone:
            return None
        start, end = self.period
        reached = start + ceil(self.total * self._share_gone * (end - start) / self.committed)
        return reached if reached < end else None

    @property
    def _share_gone(self) -> Fraction:
        """Of the period, from 0 to 1; 0 without one."""
        if self.period is None:
            return Fraction(0)
        start, end = self.period
        return Fraction(min(max(self.now, start), end) - start, end - start)
