"""The data, read once."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest

from bench.journey import Baskets, Bools, Journey, days_since_epoch, load_journey
from bench.replay import Replay

THANKSGIVING = range(days_since_epoch(date(2017, 11, 15)), days_since_epoch(date(2017, 12, 1)))


@pytest.fixture(scope="session")
def journey() -> Journey:
    """The whole year."""
    return load_journey()


@pytest.fixture(scope="session")
def some_journey(journey: Journey) -> Journey:
    """The year of every third household."""
    kept = {household for household in journey.households if household % 3 == 0}
    return Journey(
        campaigns=tuple(
            replace(campaign, households=tuple(one for one in campaign.households if one in kept))
            for campaign in journey.campaigns
        ),
        baskets=rows(journey.baskets, np.isin(journey.baskets.household, list(kept))),
        redemptions=tuple(redemption for redemption in journey.redemptions if redemption.household in kept),
        households=tuple(sorted(kept)),
        ages={household: age for household, age in journey.ages.items() if household in kept},
    )


@pytest.fixture(scope="session")
def short_journey(some_journey: Journey) -> Journey:
    """Their two weeks around Thanksgiving, with the campaigns that began then."""
    campaigns = [one for one in some_journey.campaigns if days_since_epoch(one.first_day) in THANKSGIVING]
    numbers = {campaign.number for campaign in campaigns}
    redemptions = [one for one in some_journey.redemptions if one.campaign in numbers and one.day in THANKSGIVING]
    days = some_journey.baskets.day
    in_time = (days >= THANKSGIVING.start) & (days < THANKSGIVING.stop)
    return replace(
        some_journey,
        campaigns=tuple(campaigns),
        baskets=rows(some_journey.baskets, in_time),
        redemptions=tuple(redemptions),
    )


@pytest.fixture(scope="session")
def played() -> Callable[[Replay], Replay]:
    """Plays a replay to its end without waiting: what is due leaves as the clock moves."""

    def play(run: Replay) -> Replay:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bench.deliveries.sleep", lambda seconds: None)
            run.run(lambda now, decisions, landed: None)
        return run

    return play


def rows(baskets: Baskets, chosen: Bools) -> Baskets:
    """Those of the baskets."""
    return Baskets(**{part.name: getattr(baskets, part.name)[chosen] for part in fields(Baskets)})
