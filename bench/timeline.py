"""The year as a list of steps in order of time: mailings, receipts, redeemed coupons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np

from bench.journey import EPOCH, HOUR, Journey, Redemption, local_midnight, next_day
from bench.plan import Wave, waves_of

RECEIPTS_EVERY = 12 * HOUR


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at one instant. Exactly one of the three is not empty.

    `baskets` is a half-open range of rows of `Journey.baskets`; `single` sends each of them by itself.
    """

    at: int
    baskets: tuple[int, int] = (0, 0)
    single: bool = False
    redemptions: tuple[Redemption, ...] = ()
    wave: Wave | None = None

    @property
    def rank(self) -> int:
        """What comes first of what happens at once: news of the past, then what is to be said."""
        return 2 if self.wave else 1 if self.redemptions else 0


def busiest_day(journey: Journey) -> int:
    """The local day with the most baskets: the day before Thanksgiving."""
    days, counts = np.unique(journey.baskets.day, return_counts=True)
    return int(days[np.argmax(counts)])


def timeline(journey: Journey) -> list[Step]:
    """All of the year's steps.

    Receipts go out in batches every twelve hours, and on the busiest day one by one, each at the second of its
    purchase. A redeemed coupon is reported at the same times.
    """
    baskets = journey.baskets
    last_day = EPOCH + timedelta(days=int(baskets.day[-1]))
    steps = [Step(at=wave.at, wave=wave) for campaign in journey.campaigns for wave in waves_of(campaign, last_day)]
    steps += _receipts(journey)
    reported: dict[int, list[Redemption]] = {}
    for redemption in journey.redemptions:
        reported.setdefault(_next_tick(redemption.at), []).append(redemption)
    steps += [Step(at=tick, redemptions=tuple(some)) for tick, some in reported.items()]
    return sorted(steps, key=lambda step: (step.at, step.rank))


def end_of(journey: Journey) -> int:
    """The instant the replay ends: midnight after the last day of purchases."""
    return local_midnight(next_day(EPOCH + timedelta(days=int(journey.baskets.day[-1]))))


def start_of(journey: Journey) -> int:
    """The instant the replay starts: midnight of the first campaign's first day."""
    return local_midnight(min(campaign.first_day for campaign in journey.campaigns))


def _next_tick(at: int) -> int:
    return at // RECEIPTS_EVERY * RECEIPTS_EVERY + RECEIPTS_EVERY


def _receipts(journey: Journey) -> list[Step]:
    baskets, singled = journey.baskets, busiest_day(journey)
    steps: list[Step] = []
    ticks = baskets.at // RECEIPTS_EVERY
    is_single = baskets.day == singled
    changes = np.flatnonzero((np.diff(ticks) != 0) | (np.diff(is_single) != 0)) + 1
    bounds = [0, *changes.tolist(), len(baskets)]
    for first, end in pairwise(bounds):
        if is_single[first]:
            steps += [Step(at=int(baskets.at[row]), baskets=(row, row + 1), single=True) for row in range(first, end)]
        else:
            steps.append(Step(at=_next_tick(int(baskets.at[end - 1])), baskets=(first, end)))
    return steps
