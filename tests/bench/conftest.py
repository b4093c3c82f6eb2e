"""The data, read once."""

from dataclasses import fields, replace

import numpy as np
import pytest

from bench.journey import Baskets, Journey, load_journey


@pytest.fixture(scope="session")
def journey() -> Journey:
    """The whole year."""
    return load_journey()


@pytest.fixture(scope="session")
def some_journey(journey: Journey) -> Journey:
    """The year of every third household."""
    kept = {household for household in journey.households if household % 3 == 0}
    mask = np.isin(journey.baskets.household, list(kept))
    return Journey(
        campaigns=tuple(
            replace(campaign, households=tuple(one for one in campaign.households if one in kept))
            for campaign in journey.campaigns
        ),
        baskets=Baskets(**{part.name: getattr(journey.baskets, part.name)[mask] for part in fields(Baskets)}),
        redemptions=tuple(redemption for redemption in journey.redemptions if redemption.household in kept),
        households=tuple(sorted(kept)),
        ages={household: age for household, age in journey.ages.items() if household in kept},
    )
