"""A duel over money and places that run out, on any number of shards.

Which of the recipients of different shards get the last places is free, so the model takes the system's word for it,
row by row, and holds that word to what must be true in whatever order the shards decided: nothing is overspent; who
is refused could not be paid with what is left once the request is done; a channel is passed over only if it could not
be paid then; nobody gets what there never was. With uniform costs that leaves one number: what is left, shared out to
the last place. All else (duplicates, caps, instants, order, chains) stays exact.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace as Record
from typing import Any

from tests.audited_duel import AuditedDuel
from tests.duel import answer_of
from tests.reference import Reference, Refused


class UntrueError(AssertionError):
    """The system's word cannot be true."""


class Follower(Reference):
    """The model, but where money or places decide it says what it `heard`."""

    def __init__(self, settings: dict) -> None:
        super().__init__(settings)
        self.heard: Iterator[dict] = iter(())
        self.word: dict = {}
        self.claims: list[tuple[str, bool, Record, str, int]] = []
        self.full: list[tuple[Record, list[tuple[str, int]]]] = []
        self.freed: Counter = Counter()  # by campaign and bucket, during a request

    def hear(self, answers: list[dict]) -> None:
        self.heard = iter(answers)

    def send(self, body: dict, now: int) -> dict:
        return super().send(body, now) if body.get("dry_run") else self.followed(super().send, body, now)

    def send_batch(self, body: dict, now: int) -> dict:
        return super().send_batch(body, now) if body.get("dry_run") else self.followed(super().send_batch, body, now)

    def followed(self, decide: Any, body: dict, now: int) -> dict:
        self.claims, self.full, self.freed = [], [], Counter()
        before = {i: campaign.committed.copy() for i, campaign in self.campaigns.items()}
        answer = decide(body, now)
        self.check_limits(before)
        for claim in self.claims:
            self.check_claim(before, *claim)
        for campaign, wanted in self.full:
            left = [self.left(before, campaign, channel, t, at_most=False)["places"] for channel, t in wanted]
            if min(left) >= 1:
                raise UntrueError(f"{campaign.id}: no day was full, of {wanted} there was left {left}")
        return answer

    def answer(self, *arguments: Any) -> dict:
        self.word = next(self.heard)
        return super().answer(*arguments)

    def book(self, message: Record, sign: int) -> None:
        super().book(message, sign)
        if sign < 0:
            buckets = self.amounts(self.campaigns[message.campaign], message.channel, message.at)
            for name, (bucket, _) in buckets.items():
                self.freed[message.campaign, bucket] += 1 if name == "places" else message.cost

    def choose(self, campaign: Record, person: Record, key: str, at: dict, value: dict, segments: int) -> dict:
        tiers, costs = campaign.tiers, self.costs(campaign, segments)
        order = sorted(at, key=lambda c: (tiers.get(c, math.inf), -value[c], costs[c]))
        reason, channel = self.word["reason"], self.word["channel"]
        if channel in order:
            self.claim("passed over", False, campaign, at, costs, order[: order.index(channel)])
            self.claim("paid", True, campaign, at, costs, [channel])
            return self.forced(channel, super().choose, (campaign, person, key, at, value, segments))
        if reason == "over_budget":
            self.claim("over budget", False, campaign, at, costs, order)
            return {"reason": reason}
        if reason == "daily_limit":
            self.full.append((campaign, [(channel, at[channel]) for channel in order]))
            return {"reason": reason}
        raise UntrueError(f"the system says {self.word}, and {order} are left")

    # ---- what was claimed ---------------------------------------------------------------------------------

    def forced(self, channel: str, choose: Any, arguments: tuple) -> dict:
        campaign = arguments[0]
        limits = campaign.daily_messages
        self.fits, campaign.daily_messages = lambda _, c, *__: c == channel, math.inf  # type: ignore[method-assign]
        try:
            return choose(*arguments)
        finally:
            del self.fits
            campaign.daily_messages = limits

    def claim(self, what: str, fits: bool, campaign: Record, at: dict, costs: dict, channels: list[str]) -> None:
        self.claims += [(what, fits, campaign, channel, at[channel], costs[channel]) for channel in channels]

    def amounts(self, campaign: Record, channel: str, t: int) -> dict[str, tuple[Any, float]]:
        """The buckets that a message takes from, and their limits."""
        day = self.day(campaign, t)
        return {
            "total": ("total", campaign.total),
            "channel": (channel, campaign.per_channel.get(channel, math.inf)),
            "money": (("money", day), campaign.daily),
            "places": (("places", day), campaign.daily_messages),
        }

    def left(self, before: dict, campaign: Record, channel: str, t: int, at_most: bool) -> dict[str, float]:
        """What there was of each, at some moment of the request: at most, with all that came back and nothing spent;
        or at least."""
        left = {}
        for name, (bucket, limit) in self.amounts(campaign, channel, t).items():
            freed = self.freed[campaign.id, bucket]
            used = before[campaign.id][bucket] - freed if at_most else campaign.committed[bucket] + freed
            left[name] = max(0, limit - used)
        return left

    def limit(self, campaign: Record, bucket: Any) -> float:
        if bucket == "total":
            return campaign.total
        if isinstance(bucket, str):
            return campaign.per_channel.get(bucket, math.inf)
        return campaign.daily if bucket[0] == "money" else campaign.daily_messages

    def check_limits(self, before: dict) -> None:
        """What is committed stays within each limit, or, where that came down, does not grow."""
        for campaign_id, campaign in self.campaigns.items():
            for bucket, amount in campaign.committed.items():
                start = before[campaign_id][bucket] - self.freed[campaign_id, bucket]
                limit = self.limit(campaign, bucket)
                if amount > max(limit, start):
                    raise UntrueError(f"{campaign_id} {bucket}: {amount} committed of {limit}, {start} before")

    def check_claim(
        self, before: dict, what: str, fits: bool, campaign: Record, channel: str, t: int, cost: int
    ) -> None:
        """What was paid fitted what there was at most; what was not did not fit what was left at least."""
        left = self.left(before, campaign, channel, t, at_most=fits)
        there = all(cost <= left[name] for name in ("total", "channel", "money")) and (left["places"] >= 1 or not fits)
        if there != fits:
            raise UntrueError(f"{campaign.id}: {channel} was {what}, which costs {cost}, and there was {left}")


class ScarceDuel(AuditedDuel):
    """Asks the system first and has the model follow."""

    dispatches = False

    def __init__(self, system: Any, settings: dict, choices: Any, **options: Any) -> None:
        super().__init__(system, settings, choices, **options)
        self.model = Follower(settings)

    def ask(self, call: str, *arguments: Any, theirs: tuple | None = None) -> tuple[Any, Any]:
        if call == "events" and theirs is not None:
            return self.one_by_one(arguments, theirs)
        if call not in ("send", "send_batch"):
            return super().ask(call, *arguments, theirs=theirs)
        given = answer_of(getattr(self.system, call), arguments)
        if not isinstance(given, Refused):
            self.model.hear(given["results"] if call == "send_batch" else [given])
        system, self.system = self.system, Record(**{call: lambda *_: said(given)})
        try:
            return super().ask(call, *arguments)
        except UntrueError as error:
            raise AssertionError(f"{error}\nafter\n" + "\n".join(self.log)) from error
        finally:
            self.system = system

    def one_by_one(self, ours: tuple, theirs: tuple) -> tuple[Any, Any]:
        """Events of one request may fail messages of several shards, which then compete for what is left."""
        results: list[tuple[Any, Any]] = []
        for event, translated in zip(ours[0]["events"], theirs[0]["events"], strict=True):
            arguments, others = ({"events": [event]}, *ours[1:]), ({"events": [translated]}, *theirs[1:])
            expected, given = super().ask("events", *arguments, theirs=others)
            results.append((expected["results"][0], given["results"][0]))
        return {"results": [one for one, _ in results]}, {"results": [one for _, one in results]}


def said(answer: Any) -> Any:
    if isinstance(answer, Refused):
        raise answer
    return answer
