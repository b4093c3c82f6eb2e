"""Orchestrator: the ten steps for the recipients of one shard, in process.

    part ──► Deduplicator ──► SendTimeScheduler ─┐
             0 standing       6 send time        ├─► BudgetManager ──► answer
             1 duplicate      ChannelSelector ───┘   2 caps and gaps   10
             2 candidates     3 channel              4 budget  5 daily limit
                                                     7 record  8 commit  9 fallback chain

Steps 3 and 6 do not depend on what earlier rows of the batch decided, so they are worked out for all rows at once
(kernels); the others are walked row by row in request order (Rust core). Time is an argument: `now` of the part.
"""

from __future__ import annotations

from typing import Any

from engine._core import EVENT_STATUSES, EVENT_TYPES, Shard, Zones
from engine.budget_manager import Bucket, BudgetManager, Ledger
from engine.channel_selector import ChannelSelector
from engine.columns import Features
from engine.config import Settings, channel_gaps, quiet_minutes
from engine.deduplicator import Deduplicator
from engine.errors import Conflict, UnknownCampaign
from engine.event import Event
from engine.explanation import explanations
from engine.model import Campaign, CampaignLimits
from engine.preparation import Preparation
from engine.rehearsal import Rehearsals, Taken
from engine.rules import Rules, rules_of
from engine.send_time_scheduler import SendTimeScheduler
from engine.status import Tally
from engine.views import message_view, recipient_view
from kernels import zone_tables

__all__ = ["Orchestrator"]


class Orchestrator:
    """Decides for one shard. Not thread-safe: whoever owns it calls it one at a time."""

    def __init__(self, incarnation: int, settings: Settings, ledger: Ledger) -> None:
        """`incarnation` numbers the lives of this shard: no message id is given twice while it only grows."""
        self._settings = settings
        self._shard = Shard(incarnation, *quiet_minutes(settings), Zones(*zone_tables()))
        self._rules: dict[str, Rules] = {}
        self._deduplicator = Deduplicator(self._shard)
        self._send_time_scheduler = SendTimeScheduler(settings)
        self._channel_selector = ChannelSelector(settings)
        self.budget_manager = BudgetManager(self._shard, ledger)
        self._rehearsals = Rehearsals(self._shard, self.budget_manager)

    def decide(self, part: bytes) -> bytes:
        """Decides a part (`_core.Request.part`); the answer has a row for each recipient, in order.

        Raises `UnknownCampaign` if the campaign was not put here; nothing is changed then.
        """
        prepared = self._prepare(part)
        self.budget_manager.commit(prepared.admission, prepared.times, prepared.ranking, prepared.rules.id)
        return self._answer(prepared, {})

    def rehearse(self, part: bytes, taken: Taken) -> tuple[bytes, Taken]:
        """Decides a part of a dry run: the answer, and what the dry run has taken with it. Changes nothing.

        `taken` is what the parts before would have spent, on other shards. Raises as `decide`.
        """
        prepared, taken_with_it = self._rehearsals.run(taken, lambda: self._prepare(part))
        return self._answer(prepared, taken), taken_with_it

    def _prepare(self, part: bytes) -> Preparation:
        admission = self._deduplicator.admit(part)
        rules = self._rules[admission.campaign_id]
        features = Features.of(admission)
        times = self._send_time_scheduler.plan(admission, features, rules)
        ranking = self._channel_selector.rank(admission, features, rules)
        return Preparation(admission, rules, features, times, ranking)

    def _answer(self, prepared: Preparation, taken: Taken) -> bytes:
        """`taken` is what the same dry run took on other shards."""
        admission, rules, features, _, _ = prepared
        traces = admission.traces()
        if traces is None:
            return admission.answer([])
        elsewhere = self.budget_manager.elsewhere(rules)
        if elsewhere is not None:
            elsewhere = {bucket: elsewhere.get(bucket, 0) + taken.get(bucket, 0) for bucket in {*elsewhere, *taken}}
        selector = self._channel_selector
        return admission.answer(explanations(admission, features, rules, selector, traces, elsewhere))

    def put_campaign(self, campaign: Campaign, paused: bool) -> None:
        """Creates a campaign or replaces its rules; what it did so far is kept."""
        rules = rules_of(campaign, paused, self._settings)
        self._shard.put_campaign(rules)
        self._rules[campaign.id] = rules

    def knows(self, campaign_id: str) -> bool:
        """Whether the campaign was put here."""
        return campaign_id in self._rules

    def release(self, campaign_id: str) -> dict[Bucket, int]:
        """Gives back all slices of a campaign; what this shard spent of each bucket. Empty if it is not known."""
        return self.budget_manager.release(campaign_id) if self.knows(campaign_id) else {}

    def take_freed(self) -> list[str]:
        """Campaigns with a limit to which money came back since the last call.

        Another shard may have been told that there is no more: its slices want to be recalled, too.
        """
        return self._shard.take_freed()

    def merge_profile(self, part: bytes) -> None:
        """Keeps what a part says of its recipients, without deciding anything."""
        self._shard.merge_profiles(part)

    def suppress(self, recipient_id: str, channel: int | None, until: int | None, reason: str | None, now: int) -> None:
        """Stops a channel (None: all) in [now, until) for a recipient, known or not, and cancels what waits there."""
        self._shard.suppress(recipient_id, channel, until, reason, now)

    def lift(self, recipient_id: str, channel: int | None) -> bool:
        """Lifts such a stop; False if there was none."""
        return self._shard.lift(recipient_id, channel)

    def erase(self, recipient_id: str, now: int) -> bool:
        """Forgets a person, but not their stops; see `_core.Shard.erase`. False if nobody is known by this id."""
        return self._shard.erase(recipient_id, now)

    def apply_events(self, events: list[Event], now: int) -> list[str]:
        """Takes events; the status of each: `applied`, `seen` or `unknown`. See `_core.Shard.apply_events`.

        A failed message does not go on to the next channel of its chain: that is for those who deliver.
        """
        rows = [
            (
                event.id,
                EVENT_TYPES.index(event.type),
                event.message_id,
                event.value,
                now if event.at is None else event.at,
            )
            for event in events
        ]
        return [EVENT_STATUSES[status] for status in self._shard.apply_events(rows, now)]

    def cancel(self, message_id: str) -> dict[str, Any] | None:
        """Cancels a message that still waits; the message, or None if there is none.

        Its cost, its place, its caps and its key are free again. Raises `Conflict` if it does not wait any more.
        """
        cancelled = self._shard.cancel(message_id)
        message = self.message(message_id)
        if cancelled is False and message is not None:
            raise Conflict(f"The message does not wait any more: it is {message['state']}.")
        return message

    def message(self, message_id: str) -> dict[str, Any] | None:
        """A message as the contract shows it, or None."""
        raw = self._shard.message(message_id)
        return None if raw is None else message_view(raw)

    def recipient(self, recipient_id: str, now: int) -> dict[str, Any] | None:
        """A recipient as the contract shows it, or None; caps are the default ones."""
        caps = CampaignLimits()
        gaps_s = [int(gap_s) for gap_s in channel_gaps(self._settings)]
        raw = self._shard.recipient(recipient_id, now, caps.daily_cap, caps.weekly_cap, gaps_s)
        return None if raw is None else recipient_view(raw, now, caps)

    def tally(self, campaign_id: str) -> Tally:
        """What the campaign did on this shard, as `engine.status.build_status` takes it."""
        if not self.knows(campaign_id):
            raise UnknownCampaign(campaign_id)
        return self._shard.tally(campaign_id)

    def state_hash(self) -> str:
        """A digest over everything this shard knows, in 32 hexadecimal digits: equal for equal states.

        See engine/src/state_hash.rs. Of a campaign it holds what the core decides by; the kernels' rules (urgency,
        priority) come with every `put_campaign` anew.
        """
        return self._shard.state_hash()

    def sizes(self) -> tuple[int, int]:
        """How many recipients and messages this shard holds."""
        return self._shard.sizes()
