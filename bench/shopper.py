"""What the retailer knows of a household on a given day: only what it bought until then."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.contacts import contacts_of, household_name
from bench.journey import ZONE_NAME, Int64s, Journey

QUIET_HOURS = 11
BASKETS_TO_JUDGE = 20
AWAKE_SHARE = 0.25
DEFAULT_QUIET_START = 21
IN_WINDOW = ((np.arange(24) - np.arange(24)[:, None]) % 24 < QUIET_HOURS).astype(np.int64)
"""Row: the hour a window starts; column: 1 for each hour of the day that it holds."""


class Shoppers:
    """Grows with the purchases of the replay; `profile` is the recipient as a request gives it.

    A household is `existing` from its first purchase on. One that does more than a quarter of its shopping in
    the usual quiet hours (21:00 to 08:00) lives by another clock: its quiet hours become the eleven hours
    of the day in which it shops least. Twenty baskets are needed to judge.
    """

    def __init__(self, journey: Journey) -> None:
        self._contacts = {
            household: contacts_of(household, journey.ages.get(household)) for household in journey.households
        }
        self._baskets_by_hour = {household: np.zeros(24, dtype=np.int64) for household in journey.households}
        self._quiet_hours: dict[int, tuple[int, int] | None] = {}

    def bought(self, household: int, hour: int) -> None:
        """One basket at that local hour."""
        self._baskets_by_hour[household][hour] += 1
        self._quiet_hours.pop(household, None)

    def quiet_hours(self, household: int) -> tuple[int, int] | None:
        """Start and end of its own quiet hours as hours of the day; None where the usual ones fit."""
        if household not in self._quiet_hours:
            self._quiet_hours[household] = own_quiet_hours(self._baskets_by_hour[household])
        return self._quiet_hours[household]

    def profile(self, household: int) -> dict[str, Any]:
        """The recipient: made-up contacts, the data's everything else."""
        profile: dict[str, Any] = {
            "id": household_name(household),
            "customer_type": "existing" if self._baskets_by_hour[household].any() else "new",
            "timezone": ZONE_NAME,
            "contacts": self._contacts[household],
        }
        quiet = self.quiet_hours(household)
        if quiet is not None:
            start, end = quiet
            profile["preferences"] = {"quiet_hours": {"start": f"{start:02d}:00", "end": f"{end:02d}:00"}}
        return profile


def own_quiet_hours(baskets_by_hour: Int64s) -> tuple[int, int] | None:
    """The eleven hours with fewest baskets if the usual quiet hours hold over a quarter of all, else None."""
    total = int(baskets_by_hour.sum())
    if total < BASKETS_TO_JUDGE:
        return None
    in_window = IN_WINDOW @ baskets_by_hour
    if in_window[DEFAULT_QUIET_START] <= AWAKE_SHARE * total:
        return None
    start = int(np.argmin(in_window))
    return None if start == DEFAULT_QUIET_START else (start, (start + QUIET_HOURS) % 24)
