"""The judge judged, continued: what is learned, worked out by hand, and faults in it that a duel must find."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.reference import Reference
from tests.reference_learning import ALL, Learning
from tests.reference_rules import DAY, HOUR, rfc
from tests.test_reference_faults import fight
from tests.test_reference_outcomes import ANA, DEFAULTS, NOON, model_with, send


def happen(model: Reference, now: int, message: str, *kinds: str, **fields: object) -> None:
    events = [{"id": f"{kind} {message}", "type": kind, "message_id": message} | fields for kind in kinds]
    assert all(result["status"] == "applied" for result in model.events({"events": events}, now)["results"])


def engagement(model: Reference, now: int, recipient_id: str = "ana", channel: str = "email") -> float:
    return model.learning.smoothed(model.campaigns["c"], model.people[recipient_id], channel, now)


# ---- rates ------------------------------------------------------------------------------------------------


def test_a_message_counts_once_as_delivered_and_once_as_engaged() -> None:
    model = model_with()
    message = send(model, NOON, channels=["email"])["message_id"]
    happen(model, NOON, message, "delivered")
    assert engagement(model, NOON) == pytest.approx((5 * 0.22 + 0) / (5 + 1))
    happen(model, NOON, message, "opened", "clicked", "converted")
    assert engagement(model, NOON) == pytest.approx((5 * 0.22 + 1) / (5 + 1))
    assert engagement(model, NOON, channel="sms") == pytest.approx(0.30)
    assert engagement(model, NOON + 90 * DAY) == pytest.approx((5 * 0.22 + 0.5) / (5 + 0.5))
    other = send(model, NOON, channels=["sms"], dedup_key="k")["message_id"]
    happen(model, NOON, other, "replied", at=rfc(NOON - 180 * DAY))  # it says for itself that it was delivered
    assert engagement(model, NOON, channel="sms") == pytest.approx((5 * 0.30 + 0.25) / (5 + 0.25))
    happen(model, NOON, other, "opened", at=rfc(NOON))  # only the first counts
    assert engagement(model, NOON, channel="sms") == pytest.approx((5 * 0.30 + 0.25) / (5 + 0.25))


def test_what_lies_ahead_happens_now_and_no_factor_exceeds_1() -> None:
    model = model_with()
    message = send(model, NOON, channels=["email"])["message_id"]
    happen(model, NOON, message, "opened", at=rfc(NOON + 90 * DAY))
    assert engagement(model, NOON + 90 * DAY) == pytest.approx((5 * 0.22 + 0.5) / (5 + 0.5))
    other = send(model, NOON, ANA | {"id": "bob"}, channels=["email"])["message_id"]
    happen(model, NOON, other, "delivered", at=rfc(NOON - 3650 * DAY))
    happen(model, NOON, other, "opened")
    model.set_clock(NOON)
    # Engaged 2, delivered 1 and next to nothing: the rate is 1, not 2, and bob's own (5 · 1 + 1) / 5 is 1, too.
    assert engagement(model, NOON, "bob") == 1


def test_the_rate_is_the_campaigns_else_everybodys_else_the_tables_once_published() -> None:
    model = model_with()
    model.put_campaign({"id": "d", "urgency": "high"}, NOON)
    ids = [f"r{i}" for i in range(4)]
    messages = [send(model, NOON, ANA | {"id": i}, channels=["email"])["message_id"] for i in ids]
    for message in messages:
        happen(model, NOON, message, "delivered")
    happen(model, NOON, messages[0], "replied")
    other = send(model, NOON, campaign_id="d", channels=["email"])["message_id"]
    happen(model, NOON, other, "opened")
    learning = model.learning
    assert [learning.rate(campaign, "email") for campaign in "cde"] == [0.22] * 3
    model.set_clock(NOON + DAY)
    # c: 1 of 4; d: 1 of 1; over both 2 of 5. All decay alike.
    assert [learning.rate(campaign, "email") for campaign in "cde"] == pytest.approx([0.25, 1.0, 0.4])
    assert learning.rate("c", "sms") == 0.30
    assert model.erase("r0", NOON + DAY)
    model.set_clock(NOON + DAY)
    assert learning.rate("c", "email") == pytest.approx(0.25)  # the campaign's counts stay
    assert send(model, NOON + DAY, ANA | {"id": "r0"})["status"] == "scheduled"
    assert engagement(model, NOON + DAY, "r0") == pytest.approx(0.25)  # their own are gone
    assert engagement(model, NOON, "r1") == pytest.approx((5 * 0.25 + 0) / (5 + 1))


# ---- hours ------------------------------------------------------------------------------------------------


def test_an_hour_is_smoothed_towards_best_practice_by_all_and_then_by_the_campaign() -> None:
    model = model_with()
    model.put_campaign({"id": "d", "urgency": "high"}, NOON)
    haiti = {"timezone": "America/Port-au-Prince"}  # noon is 7 o'clock there
    for i in range(10):
        message = send(model, NOON, ANA | haiti | {"id": f"r{i}"}, channels=["email"])["message_id"]
        happen(model, NOON, message, "opened" if i < 8 else "delivered")
    model.set_clock(NOON)
    weights = model.learning.weights("c", "new", "email")
    # Over all campaigns (50 · 0.22 · 0.2 + 8) / (50 + 10) = 0.17, in this (50 · 0.17 + 8) / (50 + 10) = 0.275.
    assert weights[7] == 0.275
    assert (weights[9], {*weights[:7], weights[8], *weights[10:]}) == (0.22, {0.044})
    assert model.learning.weights("d", "new", "email")[7] == 0.17
    assert model.learning.weights("c", "existing", "whatsapp")[10] == 0.45
    model.set_clock(NOON + 90 * DAY)
    # 4 of 5 by then: (2.2 + 4) / 55 = 0.1127272727, (50 · 0.1127272727 + 4) / 55 = 0.175206612.
    assert model.learning.weights("c", "new", "email")[7] == 0.175206612
    answer = send(model, NOON, ANA | haiti, urgency="normal", channels=["email"])
    assert answer["scheduled_local"].startswith("2026-03-02T09:")
    model.set_clock(NOON)
    answer = send(model, NOON, ANA | haiti | {"id": "bob"}, urgency="normal", channels=["email"])
    assert answer["scheduled_local"].startswith("2026-03-02T07:")


# ---- the duel finds faults --------------------------------------------------------------------------------


class NoDecay(Learning):
    def weigh(self, t: int, now: int) -> float:
        return 1.0


class Impersonal(Learning):
    def smoothed(self, campaign: object, person: SimpleNamespace, *arguments: object) -> float:
        return super().smoothed(campaign, SimpleNamespace(messages=[]), *arguments)


class OneCampaign(Learning):
    """Whatever the campaign, it goes by what was learned over all of them."""

    def rate(self, campaign_id: str | None, channel: str) -> float:
        return super().rate(ALL, channel)


class OneCampaignByHours(Learning):
    def weights(self, campaign_id: str | None, *arguments: object) -> tuple[float, ...]:
        return super().weights("none", *arguments)


class HoursOfUtc(Learning):
    def hour(self, message: SimpleNamespace) -> int:
        return message.at // HOUR % 24


class NothingPublished(Learning):
    def publish(self, campaigns: dict, now: int) -> None:
        super().publish({}, now)


FAULTY = [NoDecay, Impersonal, OneCampaign, OneCampaignByHours, HoursOfUtc, NothingPublished]


@pytest.mark.parametrize("faulty", FAULTY)
def test_a_duel_finds_the_fault(faulty: type[Learning]) -> None:
    def fights() -> None:
        for seed in range(20):
            system = Reference(DEFAULTS)
            system.learning = faulty(DEFAULTS)
            fight(seed, steps=200, system=system)

    with pytest.raises(AssertionError, match="the model says"):
        fights()


class Counting(Reference):
    """Counts the decisions that would have been other ones had nothing been learned."""

    def __init__(self, settings: dict) -> None:
        super().__init__(settings)
        self.unlearned = Impersonal(settings)
        self.changed: Counter[str] = Counter()
        self.plain: dict[str, int] = {}

    def without_learning(self, method: Callable, *arguments: object) -> object:
        learned, self.learning = self.learning, self.unlearned
        try:
            return method(*arguments)
        finally:
            self.learning = learned

    def time_of(self, *arguments: object) -> int | None:
        t = super().time_of(*arguments)
        self.changed["time"] += t != self.without_learning(super().time_of, *arguments)
        return t

    def value(self, campaign: object, person: object, channel: str, *others: object) -> int:
        self.plain[channel] = self.without_learning(super().value, campaign, person, channel, *others)
        return super().value(campaign, person, channel, *others)

    def choose(self, campaign: SimpleNamespace, person: object, key: str, at: dict, value: dict, segments: int) -> dict:
        order, plain = (
            sorted(at, key=lambda c: (campaign.tiers.get(c, math.inf), -values[c], campaign.costs[c]))
            for values in (value, self.plain)
        )
        self.changed["order"] += order != plain
        return super().choose(campaign, person, key, at, value, segments)


def test_duels_learn_enough_to_decide_otherwise() -> None:
    changed: Counter[str] = Counter()
    for seed in range(5):
        system = Counting(DEFAULTS)
        fight(seed, steps=200, system=system)
        changed += system.changed
    assert changed["time"] >= 50
    assert changed["order"] >= 200
