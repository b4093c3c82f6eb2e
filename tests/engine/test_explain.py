"""Explanations are applied: from their parts alone the decision must follow, and what they name as an obstacle must
be one: without it the answer is another."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import pytest

from engine import Engine
from engine._core import CHANNELS
from engine.errors import RequestError
from tests.reference_rules import DAY, HOUR, micro
from tests.strategies import STARTS, Dice, make_campaign, make_options, make_recipient

NOON = int(datetime.fromisoformat("2026-03-02T12:00:00Z").timestamp())
STEPS = ("standing", "duplicate", "candidates", "send_time", "daily_cap", "weekly_cap", "channel_gap")
STEPS += ("budget", "daily_limit")
FAILS = {"campaign_inactive": "standing", "suppressed": "standing", "no_viable_channel": "candidates"}
FAILS |= {"no_send_window": "send_time", "over_budget": "budget"}


def rank(explanation: dict, name: str) -> tuple:
    channel = explanation["channels"][name]
    value = round((channel["score"] + channel["boost"]) * 1e9)
    tier = math.inf if channel["tier"] is None else channel["tier"]
    return tier, -value, micro(channel["cost"]), CHANNELS.index(name)


def apply(decision: dict) -> None:
    """The decision follows from its explanation."""
    explanation = decision["explanation"]
    channels, weights = explanation["channels"], explanation["weights"]
    assert list(channels) == list(CHANNELS)
    for channel in channels.values():
        assert channel["viable"] == (channel["excluded_by"] is None)
        assert all(0 <= factor <= 1 for factor in channel["factors"].values())
        weighted = sum(weights[name] * factor for name, factor in channel["factors"].items())
        assert channel["score"] == pytest.approx(weighted, abs=1e-12)
    viable = sorted((name for name in CHANNELS if channels[name]["viable"]), key=lambda name: rank(explanation, name))
    checks, reason = explanation["checks"], decision["reason"]
    assert [check["passed"] for check in checks] == [True] * (len(checks) - 1) + [reason is None]
    steps = [check["step"] for check in checks]
    assert steps == [step for step in STEPS if step in steps]
    assert explanation["summary"].endswith(".")
    if reason is not None:
        assert steps[-1] == FAILS.get(reason, reason)
        assert reason in explanation["summary"]
        assert reason == "daily_limit" or not viable
        return
    chosen = channels[viable[0]]
    assert (decision["channel"], decision["cost"]) == (viable[0], chosen["cost"])
    assert decision["scheduled_at"] == chosen["scheduled_at"]
    assert (decision["detail"] is None) == (chosen["deferred_from"] is None)
    assert decision["fallback_chain"] == viable[1:][: len(decision["fallback_chain"])]


@pytest.mark.parametrize("seed", range(100))
def test_the_decision_follows_from_its_explanation_and_is_what_it_is_without(seed: int) -> None:
    choices = Dice(seed)
    now = choices.pick(STARTS)
    plain, explained = Engine(), Engine()
    campaign = make_campaign(choices, "spring", "UTC", choices.pick(("marketing", "transactional")), now)
    for engine in (plain, explained):
        engine.put_campaign(campaign)
    for _ in range(3):
        recipients = [make_recipient(choices, choices.pick(("r-0", "r-1")), 60) for _ in range(choices.integer(1, 3))]
        body = {"campaign_id": "spring", "recipients": recipients} | make_options(choices, now)
        expected, given = plain.send_batch(body, now), explained.send_batch(body | {"explain": True}, now)
        for decision in given["results"]:
            apply(decision)
            del decision["explanation"]
        assert given == expected
        now += choices.pick((0, HOUR, DAY))


# ---- the obstacle that is named, removed ------------------------------------------------------------------

ANA = {"id": "c-1", "contacts": {"email": "ana@example.com"}}
FREE: dict = {"id": "spring", "urgency": "high", "limits": {"lookback_hours": 0}}


def before(engine: Engine) -> None:
    """A message at the same instant, from a campaign that shares the key."""
    engine.put_campaign({"id": "before", "urgency": "high", "dedup_key": "shared"})
    assert engine.send({"campaign_id": "before", "recipient": ANA}, NOON)["status"] == "scheduled"


OBSTACLES: list[tuple[str, dict, dict, Callable[[Engine], object] | None]] = [
    ("not_allowed", {"channels": {"allowed": ["sms"]}}, {}, None),
    ("not_requested", {}, {"channels": ["sms"]}, None),
    ("no_address", {}, {"recipient": {"id": "c-1"}}, None),
    ("opted_out", {}, {"recipient": ANA | {"preferences": {"opt_out": ["email"]}}}, None),
    ("suppressed", {}, {}, lambda engine: engine.suppress("c-1", "email", None, None, NOON)),
    ("suppressed", {}, {}, lambda engine: engine.suppress("c-1", "all", None, None, NOON)),
    ("campaign_inactive", {"ends_at": "2026-03-02T12:00:00Z"}, {}, None),
    ("campaign_inactive", {}, {}, lambda engine: engine.pause("spring")),
    ("no_send_window", {"ends_at": "2026-03-02T18:00:00Z"}, {"send_at": "2026-03-02T18:00:00Z"}, None),
    ("no_send_window", {"send_window": {"start": "08:00", "end": "09:00"}}, {"send_at": "2026-03-02T12:00:00Z"}, None),
    ("duplicate", {"limits": {"lookback_hours": 1}}, {}, before),
    ("daily_cap", {"limits": {"daily_cap": 1}}, {}, before),
    ("weekly_cap", {"limits": {"weekly_cap": 1}}, {}, before),
    ("channel_gap", {}, {}, before),
    ("over_budget", {"budget": {"total": "0.0005"}}, {}, None),
    ("over_budget", {"budget": {"per_channel": {"email": "0.0005"}}}, {}, None),
    ("over_budget", {"budget": {"daily": "0.0005"}}, {}, None),
    ("daily_limit", {"limits": {"daily_messages": 0}}, {}, None),
]


@pytest.mark.parametrize(("obstacle", "campaign", "options", "act"), OBSTACLES)
def test_without_the_obstacle_that_is_named_the_answer_is_another(
    obstacle: str, campaign: dict, options: dict, act: Callable[[Engine], object] | None
) -> None:
    engine = Engine()
    shared = {"dedup_key": "shared"} if obstacle == "duplicate" else {}
    limits = FREE["limits"] | campaign.get("limits", {})
    engine.put_campaign(FREE | shared | campaign | {"limits": limits})
    if act is not None:
        act(engine)
    body = {"campaign_id": "spring", "recipient": ANA, "explain": True} | options
    decision = engine.send(body, NOON)
    assert decision["status"] == "blocked"
    assert decision["explanation"]["channels"]["email"]["excluded_by"] == obstacle
    apply(decision)
    free = Engine()
    free.put_campaign(FREE)
    decision = free.send({"campaign_id": "spring", "recipient": ANA, "explain": True}, NOON)
    assert (decision["status"], decision["channel"]) == ("scheduled", "email")
    apply(decision)


# ---- what excludes single channels, and what was left ------------------------------------------------------

BOTH = {"id": "c-1", "contacts": {"email": "ana@example.com", "sms": "+15550100"}}
SMS_FIRST = {"channels": {"priority": {"sms": 1}}, "costs": {"sms": "0.0075", "email": "0.001"}}


def explained(engine: Engine, recipient: dict, now: int = NOON, **options: object) -> dict:
    decision = engine.send({"campaign_id": "spring", "recipient": recipient, "explain": True} | options, now)
    apply(decision)
    return decision


def read(decision: dict, step: str) -> dict:
    return next(check for check in decision["explanation"]["checks"] if check["step"] == step)["read"]


def excluded_by(decision: dict, channel: str) -> str | None:
    return decision["explanation"]["channels"][channel]["excluded_by"]


def test_a_channel_that_no_longer_fits_is_passed_over_for_a_cheaper_one() -> None:
    """To the last: the two that can be paid by SMS, then an e-mail, then nothing."""
    engine = Engine()
    engine.put_campaign(FREE | SMS_FIRST | {"budget": {"total": "0.016500", "per_channel": {"sms": "5.00"}}})
    decisions = [explained(engine, BOTH | {"id": f"c-{number}"}) for number in range(4)]
    assert [decision["channel"] for decision in decisions] == ["sms", "sms", "email", None]
    assert [excluded_by(decision, "sms") for decision in decisions] == [None, None, "over_budget", "over_budget"]
    assert [excluded_by(decision, "email") for decision in decisions] == [None, None, None, "over_budget"]
    left = [read(decision, "budget")["sms"]["left"] for decision in decisions]
    assert [amounts["total"] for amounts in left] == ["0.0165", "0.009", "0.0015", "0.0005"]
    assert [amounts["per_channel"] for amounts in left] == ["5.00", "4.9925", "4.985", "4.985"]
    fits = [read(decision, "budget")["sms"]["fits"] for decision in decisions]
    assert fits == [{"total": fit, "per_channel": True} for fit in (True, True, False, False)]
    assert "sms by over_budget" in decisions[2]["explanation"]["summary"]


def test_caps_and_gaps_exclude_single_channels() -> None:
    """A gap holds its channel alone; a cap holds what would go within its span."""
    engine = Engine()
    engine.put_campaign({"id": "before", "urgency": "high"})
    engine.send({"campaign_id": "before", "recipient": BOTH, "channels": ["email"]}, NOON)
    engine.put_campaign(FREE | {"channels": {"priority": {"email": 1}}})
    decision = explained(engine, BOTH)
    assert (decision["channel"], excluded_by(decision, "email")) == ("sms", "channel_gap")
    # At night SMS waits for the morning, and by then the message of the day before no longer counts.
    night = NOON + 9 * HOUR
    for cap in ("daily_cap", "weekly_cap"):
        engine = Engine()
        engine.put_campaign({"id": "before", "urgency": "high"})
        engine.send({"campaign_id": "before", "recipient": BOTH, "channels": ["email"]}, NOON)
        later = night if cap == "daily_cap" else NOON + 7 * DAY - 4 * HOUR - 1
        quiet = {"preferences": {"quiet_hours": {"start": "20:00", "end": "13:00"}}}
        engine.put_campaign(FREE | {"limits": {cap: 1, "lookback_hours": 0}})
        decision = explained(engine, BOTH | quiet, later)
        assert (decision["channel"], excluded_by(decision, "email")) == ("sms", cap)


def test_on_one_shard_what_is_left_is_exact() -> None:
    engine = Engine()
    limits = {"daily_messages": 5, "lookback_hours": 0, "daily_cap": 50, "weekly_cap": 50}
    budget = {"total": "0.02", "daily": "0.012", "per_channel": {"email": "0.015"}}
    engine.put_campaign(FREE | {"budget": budget, "limits": limits, "costs": {"email": "0.002"}})
    for number in range(7):
        status = engine.status("spring", NOON)["budget"]
        decision = explained(engine, ANA | {"id": f"c-{number}"})
        left = read(decision, "budget")["email"]["left"]
        assert left["total"] == status["remaining"]
        assert left["per_channel"] == status["per_channel"]["email"]["remaining"]
        assert micro(left["daily"]) == 12_000 - micro(status["today"]["committed"])
        assert read(decision, "daily_limit")["email"] == {"day": "2026-03-02", "left": max(0, 5 - number)}
        assert decision["reason"] == (None if number < 5 else "daily_limit")


@pytest.mark.parametrize("dry_run", [False, True])
def test_on_several_shards_at_least_so_much_is_left(dry_run: bool) -> None:
    engine = Engine(shards=3)
    engine.put_campaign(FREE | {"budget": {"total": "0.02"}})
    people = [ANA | {"id": f"c-{number}"} for number in range(30)]
    body = {"campaign_id": "spring", "recipients": people, "explain": True, "dry_run": dry_run}
    results = engine.send_batch(body, NOON)["results"]
    assert [decision["status"] for decision in results].count("scheduled") == 20
    by_shard = sorted(results, key=lambda decision: engine.router.shard_of_recipient(decision["recipient_id"]))
    for scheduled, decision in enumerate(by_shard):
        apply(decision)
        left = read(decision, "budget")["email"]["left"]["total"]
        assert micro(left) <= max(0, 20_000 - 1_000 * scheduled)
        assert (micro(left) >= 1_000) == (decision["status"] == "scheduled")


def test_an_invalid_recipient_has_nothing_to_explain() -> None:
    engine = Engine()
    engine.put_campaign(FREE)
    body = {"campaign_id": "spring", "recipients": [{"id": ""}, ANA], "explain": True}
    invalid, scheduled = engine.send_batch(body, NOON)["results"]
    assert invalid["explanation"] is None
    apply(scheduled)


def test_more_than_a_thousand_are_not_explained() -> None:
    engine = Engine()
    engine.put_campaign(FREE)
    body = {"campaign_id": "spring", "recipients": [{"id": f"c-{i}"} for i in range(1_001)], "explain": True}
    with pytest.raises(RequestError) as refusal:
        engine.send_batch(body, NOON)
    assert (refusal.value.status, refusal.value.errors) == (
        400,
        [("/explain", "takes true for up to 1,000 recipients")],
    )
