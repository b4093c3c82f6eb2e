"""The judge judged, continued: a model agrees with itself, and a duel finds faults planted in one."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.duel import Duel
from tests.reference import Reference
from tests.reference_rules import DAY
from tests.strategies import Dice

DEFAULTS = tomllib.loads((Path(__file__).parents[1] / "engine" / "defaults.toml").read_text("utf-8"))


class AsSystem:
    """A model behind the face of a system: other message ids, sentences where they belong."""

    def __init__(self, model: Reference) -> None:
        self.model = model

    def state_hashes(self) -> int:
        return hash(repr(vars(self.model)))

    def __getattr__(self, call: str) -> Callable:
        def ask(*arguments: object) -> object:
            return dressed(getattr(self.model, call)(*undressed(list(arguments))))

        return ask


def dressed(value: object) -> object:
    if isinstance(value, dict):
        sentences = {"detail": "Because."} if value.get("status") == "blocked" else {}
        sentences |= {"errors": [{"path": "/"}]} if value.get("status") == "invalid" else {}
        return {name: dressed(item) for name, item in value.items()} | sentences
    if isinstance(value, list):
        return [dressed(item) for item in value]
    return f"m-{int(value[1:]):016x}" if isinstance(value, str) and value.startswith("#") else value


def undressed(value: object) -> object:
    if isinstance(value, dict):
        return {name: undressed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [undressed(item) for item in value]
    return f"#{int(value[2:], 16)}" if isinstance(value, str) and value.startswith("m-0") else value


def fight(seed: int, steps: int, system: Reference) -> Duel:
    duel = Duel(AsSystem(system), DEFAULTS, Dice(seed), people=40, campaigns=5)
    for _ in range(steps):
        duel.step(size_max=20)
    duel.read_all()
    return duel


def test_a_model_agrees_with_itself() -> None:
    tally: Counter[str] = Counter()
    for seed in range(20):
        tally += fight(seed, steps=200, system=Reference(DEFAULTS)).tally
        if len(tally) == 12:  # scheduled, invalid and the ten reasons
            return
    pytest.fail(f"never all of them: {tally}")


class LongGap(Reference):
    def __init__(self, settings: dict) -> None:
        super().__init__(settings)
        self.gaps = {channel: gap + 1 for channel, gap in self.gaps.items()}


class HighCap(Reference):
    def put_campaign(self, body: dict, now: int) -> None:
        super().put_campaign(body, now)
        campaign = self.campaigns[body["id"]]
        campaign.caps = (campaign.caps[0] + 1, campaign.caps[1])


class Late(Reference):
    def time_of(self, *arguments: object) -> int | None:
        t = super().time_of(*arguments)
        return t and t + 1


class DaysOfUtc(Reference):
    def day(self, campaign: object, t: int) -> int:
        return t // DAY


class KeepsWaiting(Reference):
    def cancel_waiting(self, person: object, channels: set) -> None:
        pass


class KeepsMoney(Reference):
    def book(self, message: object, sign: int) -> None:
        super().book(message, max(sign, 0))


class KeepsFailures(Reference):
    def release(self, message: SimpleNamespace, state: str) -> None:
        super().release(message, state)
        if state == "failed":
            self.book(message, +1)


class BouncesOnlyFail(Reference):
    def event(self, event: dict, now: int) -> str:
        return super().event(event | ({"type": "failed"} if event.get("type") == "bounced" else {}), now)


class ForgetsStops(Reference):
    def erase(self, recipient_id: str, now: int) -> bool:
        known = super().erase(recipient_id, now)
        self.traces.clear()
        return known


class Overdraws(Reference):
    def fits(self, campaign: object, *arguments: object) -> bool:
        campaign.total += 500
        fits = super().fits(campaign, *arguments)
        campaign.total -= 500
        return fits


class CountsNoSegments(Reference):
    def costs(self, campaign: SimpleNamespace, segments: int) -> dict:
        return campaign.costs


class ForgetsEvents(Reference):
    def events(self, body: dict, now: int) -> dict:
        self.events_seen.clear()
        return super().events(body, now)


class NoBoost(Reference):
    def value(self, campaign: object, person: SimpleNamespace, *arguments: object) -> int:
        plain = {name: value for name, value in person.profile.items() if name != "preferences"}
        return super().value(campaign, SimpleNamespace(profile=plain, messages=person.messages), *arguments)


class SpendsInDryRuns(Reference):
    def send_batch(self, body: dict, now: int) -> dict:
        return super().send_batch(body | {"dry_run": False}, now)


class RehearsesEachAlone(Reference):
    """Its state stays, but later rows of a dry run do not see what earlier ones would have done."""

    def send_batch(self, body: dict, now: int) -> dict:
        if not body.get("dry_run"):
            return super().send_batch(body, now)
        answers = [
            super(RehearsesEachAlone, self).send_batch(body | {"recipients": [r]}, now) for r in body["recipients"]
        ]
        sums = {name: sum((Counter(a[name]) for a in answers), Counter()) for name in ("counts", "reasons")}
        return {name: dict(n) for name, n in sums.items()} | {"results": [a["results"][0] for a in answers]}


FAULTY = [LongGap, HighCap, Late, DaysOfUtc, KeepsWaiting, KeepsMoney, KeepsFailures, BouncesOnlyFail, Overdraws]
FAULTY += [CountsNoSegments, ForgetsStops, ForgetsEvents, NoBoost, SpendsInDryRuns, RehearsesEachAlone]


@pytest.mark.parametrize("faulty", FAULTY)
def test_a_duel_finds_the_fault(faulty: type[Reference]) -> None:
    def fights() -> None:
        for seed in range(20):
            fight(seed, steps=200, system=faulty(DEFAULTS))

    with pytest.raises(AssertionError, match="the model says"):
        fights()
