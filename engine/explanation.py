"""Explanations: how a decision came about, put into words only where a request asks for it.

The walk leaves a trace of what it read for a row at its turn (engine/src/explanation.rs); the factors are worked out
here a second time, by the same tables. Nothing here decides anything.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, TypedDict

import msgspec

from engine._core import CHANNELS, REASONS, STATUSES, Admission
from engine.channel_selector import ChannelSelector
from engine.columns import Features
from engine.learning import CampaignFigures
from engine.model import Budget
from engine.money import format_amount
from engine.remaining import ChannelTrace, Elsewhere, Remaining
from engine.rules import UNLISTED_TIER, Rules
from engine.scalars import Instant, MinuteOfDay

__all__ = ["Trace", "explanations"]

SCHEDULED = STATUSES.index("scheduled")
EPOCH = date(1970, 1, 1)


class Trace(TypedDict):
    """What the walk read for a row and what became of it, as codes; channels in step 3's order."""

    status: int
    reason: int | None
    chosen: int | None
    stopped: bool
    same_key_at: int | None
    obstacles: list[str | None]
    channels: list[ChannelTrace]


def explanations(
    admission: Admission,
    features: Features,
    rules: Rules,
    figures: CampaignFigures,
    selector: ChannelSelector,
    traces: list[Trace],
    elsewhere: Elsewhere | None,
) -> list[str]:
    """The explanation of each row as JSON; `null` for rows that were not decided.

    `elsewhere` is None where the ledger did not answer.
    """
    remaining = Remaining(rules, features.costs.tolist(), elsewhere)
    texts = [
        msgspec.json.encode(
            _Row(admission, features, rules, figures, selector, row, trace, remaining).explanation()
        ).decode()
        for row, trace in enumerate(traces)
    ]
    return texts + ["null"] * (len(admission) - len(traces))


class _Row:
    """One row on its way to an explanation."""

    def __init__(
        self,
        admission: Admission,
        features: Features,
        rules: Rules,
        figures: CampaignFigures,
        selector: ChannelSelector,
        row: int,
        trace: Trace,
        remaining: Remaining,
    ) -> None:
        self.admission = admission
        self.rules = rules
        self.trace = trace
        self.remaining = remaining
        self.budget = rules.campaign.budget or Budget()
        self.factors, self.boosts = selector.factors(admission, features, rules, figures, row)
        self.weights = selector.named_weights
        self.reason = None if trace["status"] == SCHEDULED or trace["reason"] is None else REASONS[trace["reason"]]
        self.traced = {CHANNELS[channel["channel"]]: channel for channel in trace["channels"]}
        self.excluded = self._excluded()

    def explanation(self) -> dict[str, Any]:
        """The whole, as the contract names its parts."""
        return {
            "checks": self._checks(),
            "channels": {name: self._channel(code, name) for code, name in enumerate(CHANNELS)},
            "weights": self.weights,
            "summary": self._summary(),
        }

    # ---- channels ---------------------------------------------------------------------------------------

    def _excluded(self) -> dict[str, str | None]:
        """What excludes each channel: an obstacle, else what it was dropped by on its way through the steps."""
        excluded: dict[str, str | None] = {}
        for code, name in enumerate(CHANNELS):
            traced = self.traced.get(name)
            obstacle = self.trace["obstacles"][code]
            if obstacle is not None:
                excluded[name] = obstacle
            elif self.reason in ("campaign_inactive", "suppressed", "duplicate"):
                excluded[name] = self.reason
            elif traced is None:
                excluded[name] = "no_send_window"
            else:
                excluded[name] = None if traced["viable"] else self._broken(traced)
        for name, traced in self.traced.items():
            if excluded[name] is not None:
                continue
            if self.reason == "over_budget" or False in self.remaining.fits(traced).values():
                excluded[name] = "over_budget"
                continue
            if self.reason == "daily_limit":
                excluded[name] = "daily_limit"
            break
        return excluded

    def _broken(self, traced: ChannelTrace) -> str | None:
        """The first rule of step 2 that the planned instant breaks."""
        if traced["daily_used"] >= self.rules.daily_cap:
            return "daily_cap"
        if traced["weekly_used"] >= self.rules.weekly_cap:
            return "weekly_cap"
        nearest_s = traced["nearest_s"]
        gap = nearest_s is not None and nearest_s < self.rules.gaps_s[traced["channel"]]
        return "channel_gap" if gap else None

    def _channel(self, code: int, name: str) -> dict[str, Any]:
        traced, factors = self.traced.get(name), self.factors[name]
        tier = int(self.rules.tiers[code])
        deferred = traced is not None and traced["viable"] and traced["at"] != traced["planned_at"]
        return {
            "viable": self.excluded[name] is None,
            "excluded_by": self.excluded[name],
            "tier": None if tier == UNLISTED_TIER else tier,
            "factors": factors,
            "score": sum(weight * factors[factor] for factor, weight in self.weights.items()),
            "boost": self.boosts[name],
            "cost": format_amount(self.remaining.costs[code]),
            "scheduled_at": _instant(traced and traced["at"]),
            "deferred_from": _instant(traced["planned_at"] if traced and deferred else None),
        }

    # ---- checks -----------------------------------------------------------------------------------------

    def _checks(self) -> list[dict[str, Any]]:
        """Every step up to the one that failed."""
        checks = [self._standing(), self._duplicate(), self._candidates(), self._send_time()]
        if not self.rules.transactional:
            checks += [self._cap("daily"), self._cap("weekly"), self._gap()]
        checks += [self._budget(), self._daily_limit()]
        failed = [check["passed"] for check in checks]
        return checks[: failed.index(False) + 1] if False in failed else checks

    def _check(self, step: str, reasons: tuple[str, ...], read: object, limit: object) -> dict[str, Any]:
        return {"step": step, "read": read, "limit": limit, "passed": self.reason not in reasons}

    def _standing(self) -> dict[str, Any]:
        rules, read = self.rules, {"now": _instant(self.admission.now), "paused": self.rules.paused}
        limit = {"starts_at": _instant(rules.starts_at), "ends_at": _instant(rules.ends_at)}
        read["suppressed"] = self.trace["stopped"]
        return self._check("standing", ("campaign_inactive", "suppressed"), read, limit)

    def _duplicate(self) -> dict[str, Any]:
        read = {
            "dedup_key": self.admission.dedup_key or str(self.rules.dedup_key),
            "latest_at": _instant(self.trace["same_key_at"]),
        }
        limit = {"not_later_than": _instant(self.admission.now - self.rules.lookback_s)}
        return self._check("duplicate", ("duplicate",), read, limit)

    def _candidates(self) -> dict[str, Any]:
        read = dict(zip(CHANNELS, self.trace["obstacles"], strict=True))
        return self._check("candidates", ("no_viable_channel",), read, None)

    def _send_time(self) -> dict[str, Any]:
        start, end = (MinuteOfDay(minute).write() for minute in self.rules.window)
        limit: dict[str, Any] = {"send_window": None if start == end else {"start": start, "end": end}}
        limit |= {"starts_at": _instant(self.rules.starts_at), "ends_at": _instant(self.rules.ends_at)}
        read = {name: _instant(traced["planned_at"]) for name, traced in self.traced.items()}
        return self._check("send_time", ("no_send_window",), read, limit)

    def _cap(self, span: str) -> dict[str, Any]:
        daily = span == "daily"
        used = {name: traced["daily_used" if daily else "weekly_used"] for name, traced in self.traced.items()}
        return self._check(
            f"{span}_cap", (f"{span}_cap",), used, self.rules.daily_cap if daily else self.rules.weekly_cap
        )

    def _gap(self) -> dict[str, Any]:
        nearest_s = {name: traced["nearest_s"] for name, traced in self.traced.items()}
        limit = {name: self.rules.gaps_s[traced["channel"]] for name, traced in self.traced.items()}
        return self._check("channel_gap", ("channel_gap",), {"nearest_s": nearest_s}, {"gap_s": limit})

    def _budget(self) -> dict[str, Any]:
        budget = self.budget
        read = {
            name: {
                "cost": format_amount(self.remaining.costs[traced["channel"]]),
                "left": {limit: _amount(left) for limit, left in self.remaining.money(traced).items()},
                "fits": self.remaining.fits(traced),
            }
            for name, traced in self.traced.items()
            if traced["viable"]
        }
        limit = {
            "total": _amount(budget.total),
            "daily": _amount(budget.daily),
            "per_channel": {name: format_amount(int(amount)) for name, amount in budget.per_channel.items()},
        }
        return self._check("budget", ("over_budget",), read, limit)

    def _daily_limit(self) -> dict[str, Any]:
        read = {
            name: {
                "day": (EPOCH + timedelta(days=traced["day"])).isoformat(),
                "left": self.remaining.messages(traced),
            }
            for name, traced in self.traced.items()
            if traced["viable"]
        }
        return self._check("daily_limit", ("daily_limit",), read, self.rules.campaign.limits.daily_messages)

    # ---- in a sentence ----------------------------------------------------------------------------------

    def _summary(self) -> str:
        dropped = [f"{name} by {why}" for name, why in self.excluded.items() if why is not None]
        without = f"; excluded: {', '.join(dropped)}" if dropped else ""
        chosen = self.trace["chosen"]
        if chosen is None:
            return f"Blocked by {self.reason}{without}."
        name = CHANNELS[chosen]
        rivals = sum(why is None for why in self.excluded.values())
        best = "the only viable channel" if rivals == 1 else f"first of {rivals} viable channels"
        return f"{name} goes at {_instant(self.traced[name]['at'])}, {best}{without}."


def _instant(seconds: int | None) -> str | None:
    return None if seconds is None else Instant(seconds).write()


def _amount(amount: int | None) -> str | None:
    return None if amount is None else format_amount(int(amount))
