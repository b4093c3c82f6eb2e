"""The data as the replay reads it, against what its publishers say of it."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.contacts import YOUNG, contacts_of
from bench.journey import HOUR, Journey, as_utc, days_since_epoch, local_midnight, local_offsets
from bench.plan import HOUSE_RULES, campaign_body, waves_of
from bench.shopper import own_quiet_hours
from bench.timeline import busiest_day, end_of, start_of, timeline

NEW_YORK = ZoneInfo("America/New_York")
LAST_DAY = date(2017, 12, 31)


def test_the_year_is_whole(journey: Journey) -> None:
    assert len(journey.campaigns) == 27
    assert sum(len(campaign.households) for campaign in journey.campaigns) == 6589
    assert len(journey.households) == 2469
    assert len(journey.redemptions) == 2102
    assert len(journey.baskets) == 155_848
    assert len(journey.ages) == 801
    assert {campaign.kind for campaign in journey.campaigns} == set(HOUSE_RULES)


def test_campaigns_keep_their_real_dates_and_households(journey: Journey) -> None:
    by_number = {campaign.number: campaign for campaign in journey.campaigns}
    thirteen = by_number[13]
    assert (thirteen.first_day, thirteen.last_day) == (date(2017, 8, 8), date(2017, 9, 24))
    assert (thirteen.kind, len(thirteen.households)) == ("A", 1077)
    body = campaign_body(thirteen)
    assert (body["starts_at"], body["ends_at"]) == ("2017-08-08T04:00:00Z", "2017-09-25T04:00:00Z")
    winter = campaign_body(by_number[24])
    assert (winter["starts_at"], winter["ends_at"]) == ("2016-11-14T05:00:00Z", "2017-01-17T05:00:00Z")


@given(at=st.integers(min_value=1_479_081_600, max_value=1_520_000_000))
def test_local_time_is_new_yorks(at: int) -> None:
    local = datetime.fromtimestamp(at, UTC).astimezone(NEW_YORK)
    offset = local.utcoffset()
    assert offset is not None
    assert local_offsets(np.array([at])).tolist() == [offset.total_seconds()]
    midnight = datetime.fromtimestamp(local_midnight(local.date()), NEW_YORK)
    assert (midnight.date(), midnight.hour, midnight.minute) == (local.date(), 0, 0)


def test_only_new_york_time_explains_the_redemption_dates(journey: Journey) -> None:
    baskets = journey.baskets
    local = set(zip(baskets.household.tolist(), baskets.day.tolist(), strict=True))
    utc = set(zip(baskets.household.tolist(), (baskets.at // (24 * HOUR)).tolist(), strict=True))
    redeemed = {(redemption.household, redemption.day) for redemption in journey.redemptions}
    assert len(redeemed) == 1107
    assert len(redeemed & local) == 1107
    assert len(redeemed & utc) == 984


def test_redemptions_carry_their_baskets_value_once(journey: Journey) -> None:
    baskets = journey.baskets
    instants = set(zip(baskets.household.tolist(), baskets.at.tolist(), strict=True))
    shared: dict[tuple[int, int], int] = {}
    for redemption in journey.redemptions:
        assert (redemption.household, redemption.at) in instants
        key = (redemption.household, redemption.day)
        shared[key] = shared.get(key, 0) + redemption.value
    for (household, day), value in list(shared.items())[::50]:
        mine = (baskets.household == household) & (baskets.day == day)
        with_coupon = mine & baskets.used_coupon
        assert value == baskets.value[with_coupon if with_coupon.any() else mine].sum()
    running = {(campaign.number, household) for campaign in journey.campaigns for household in campaign.households}
    assert {(redemption.campaign, redemption.household) for redemption in journey.redemptions} <= running


def test_contacts_are_made_up_the_same_way_every_time() -> None:
    assert contacts_of(7, None) == {"email": "household-7@example.com"}
    assert contacts_of(8, None) == {"email": "household-8@example.com", "sms": "+15550000008"}
    young = contacts_of(2500, YOUNG[0])
    assert young["sms"] == young["whatsapp"] == "+15550002500"
    assert all(contacts_of(number, None) == contacts_of(number, None) for number in range(1, 100))


def test_quiet_hours_follow_the_shopping() -> None:
    usual = np.zeros(24, dtype=np.int64)
    usual[[9, 12, 17, 18]] = 10
    assert own_quiet_hours(usual) is None
    night = np.zeros(24, dtype=np.int64)
    night[[22, 23, 0, 3, 5]] = 10
    quiet = own_quiet_hours(night)
    assert quiet is not None
    start, end = quiet
    assert not night[(start + np.arange((end - start) % 24)) % 24].any()
    assert own_quiet_hours(night // 10) is None, "five baskets are too few to judge by"


def test_the_timeline_sends_every_basket_once_and_never_early(journey: Journey) -> None:
    steps = timeline(journey)
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    rows = [row for step in steps for row in range(*step.baskets)]
    assert sorted(rows) == list(range(len(journey.baskets)))
    assert all(step.at >= journey.baskets.at[step.baskets[1] - 1] for step in steps if step.baskets[1])
    assert sum(len(step.redemptions) for step in steps) == 2102
    assert all(step.at >= redemption.at for step in steps for redemption in step.redemptions)
    assert busiest_day(journey) == days_since_epoch(date(2017, 11, 22)), "the day before Thanksgiving"
    assert sum(step.single for step in steps) == 643
    assert (as_utc(start_of(journey)), as_utc(end_of(journey))) == (
        "2016-11-14T05:00:00Z",
        "2018-01-01T05:00:00Z",
    )


def test_waves_stay_inside_their_campaign(journey: Journey) -> None:
    for campaign in journey.campaigns:
        waves = waves_of(campaign, LAST_DAY)
        days = [wave.day for wave in waves]
        assert days == sorted(days)
        assert waves[0].day == campaign.first_day
        assert days[-1] <= min(campaign.last_day, LAST_DAY)
        assert len({wave.dedup_key for wave in waves}) == len(waves)
