"""Orchestrator: the ten steps for the recipients of one shard, in process.

    part ──► Deduplicator ──► SendTimeScheduler ─┐
             0 standing       6 send time        ├─► BudgetManager ──► answer
             1 duplicate      ChannelSelector ───┘   2 caps and gaps   10
             2 candidates     3 channel              4 budget  5 daily limit
                                                     7 record  8 commit  9 fallback chain

Steps 3 and 6 do not depend on what earlier rows of the batch decided, so they are worked out for all rows at once
(kernels); the others are walked row by row in request order (Rust core). Time is an argument: `now` of the part.

Of what other shards learned a decision knows what was published last (`engine.learning`).
"""

from __future__ import annotations

import math
import secrets
from typing import Any, NamedTuple

from engine._core import CHANNELS, EVENT_STATUSES, EVENT_TYPES, Shard, Zones
from engine.budget_manager import Bucket, BudgetManager, Ledger
from engine.channel_selector import ChannelSelector
from engine.claim import Begun, Claim
from engine.columns import Features
from engine.config import Settings, channel_gaps, half_life_s, quiet_minutes
from engine.content_check import ContentCheck
from engine.deduplicator import Deduplicator
from engine.delivery import Claimed, Report, channel_bits
from engine.delivery_config import charged_channels, success_limits_s
from engine.errors import Conflict, ShardUnavailable, UnknownCampaign
from engine.event import Event
from engine.explanation import explanations
from engine.learning import Figures, Learned, Learning
from engine.model import Campaign, CampaignLimits
from engine.preparation import Preparation
from engine.rehearsal import Rehearsals, Taken
from engine.rules import Rules, rules_of
from engine.send_time_scheduler import SendTimeScheduler
from engine.status import Tally
from engine.views import message_view, recipient_view
from kernels import zone_tables

__all__ = ["ClaimedAnswer", "Orchestrator"]


class ClaimedAnswer(NamedTuple):
    """The answer to a part that is claimed by an idempotency key, and what was kept of it before this call."""

    answer: bytes
    before: bytes | None


class Orchestrator:
    """Decides for one shard. Not thread-safe: whoever owns it calls it one at a time."""

    def __init__(self, incarnation: int, settings: Settings, ledger: Ledger, secret: bytes | None = None) -> None:
        """`incarnation` is part of all message ids; a shard that is read keeps the one that was written.

        `secret`, 16 bytes, is the cluster's; without one it is drawn here.
        """
        self._settings = settings
        self._shard = Shard(
            incarnation,
            *quiet_minutes(settings),
            half_life_s(settings),
            Zones(*zone_tables()),
            secret or secrets.token_bytes(16),
            settings.limits.kept_answers_bytes_max,
            channel_bits(charged_channels(settings)),
            success_limits_s(settings),
        )
        self._figures = Learning(settings).figures([], 0)
        self._rules: dict[str, Rules] = {}
        self._content_check = ContentCheck(settings)
        self._deduplicator = Deduplicator(self._shard)
        self._send_time_scheduler = SendTimeScheduler()
        self._channel_selector = ChannelSelector(settings)
        self.budget_manager = BudgetManager(self._shard, ledger)
        self._rehearsals = Rehearsals(self._shard, self.budget_manager)

    def decide(self, part: bytes) -> bytes:
        """Decides a part (`_core.Request.part`); the answer has a row for each recipient, in order.

        Raises `UnknownCampaign` if the campaign was not put here, `RequestError` (400) if its templates cannot say what
        they say with the part's content; nothing is changed then.
        """
        prepared = self._prepare(part, self._content_check.check(part))
        self.budget_manager.commit(prepared)
        return self._answer(prepared, {})

    def _decide_left(self, left: bytes, claim: Claim) -> bytes:
        """As `decide`; what is decided is kept for the claim before others may see or write it down."""
        prepared = self._prepare(left, self._content_check.check(left))

        def keep_so_far() -> None:
            answer = prepared.admission.answer_so_far()
            if answer is not None:
                self._shard.keep_so_far(left, claim, answer)

        self.budget_manager.commit(prepared, keep_so_far)
        return self._answer(prepared, {})

    def rehearse(self, part: bytes, taken: Taken) -> tuple[bytes, Taken]:
        """Decides a part of a dry run: the answer, and what the dry run has taken with it. Changes nothing.

        `taken` is what the parts before would have spent, on other shards. Raises as `decide`.
        """
        segments = self._content_check.check(part)
        prepared, taken_with_it = self._rehearsals.run(taken, lambda: self._prepare(part, segments))
        return self._answer(prepared, taken), taken_with_it

    def _prepare(self, part: bytes, segments: int) -> Preparation:
        admission = self._deduplicator.admit(part, segments)
        rules = self._rules[admission.campaign_id]
        figures = self._figures.of(rules.id)
        features = Features.of(admission)
        times = self._send_time_scheduler.plan(admission, features, rules, figures)
        ranking = self._channel_selector.rank(admission, features, rules, figures)
        return Preparation(admission, rules, features, figures, times, ranking)

    def _answer(self, prepared: Preparation, taken: Taken) -> bytes:
        """`taken` is what the same dry run took on other shards."""
        admission, rules, features, figures, _, _ = prepared
        traces = admission.traces()
        if traces is None:
            return admission.answer([])
        elsewhere = self.budget_manager.elsewhere(rules)
        if elsewhere is not None:
            elsewhere = {bucket: elsewhere.get(bucket, 0) + taken.get(bucket, 0) for bucket in {*elsewhere, *taken}}
        selector = self._channel_selector
        return admission.answer(explanations(admission, features, rules, figures, selector, traces, elsewhere))

    def decide_claimed(self, part: bytes, claim: Claim) -> ClaimedAnswer:
        """As `decide`, once for a claim: what was decided before is answered again, and only the rest is decided.

        Raises `Conflict` if the answer held a person who was erased, `Overloaded` without room to keep it,
        `RequestError` (422) if the key is another request's; and as `decide`.
        """
        left = self._shard.left_of_part(part, claim)
        kept = self.kept_part(claim)
        before = kept[0] if kept else None
        if left is None and before is not None:
            return ClaimedAnswer(before, before)
        left = part if left is None else left
        return ClaimedAnswer(self._shard.keep_part(left, claim, self._decide_left(left, claim)), before)

    def kept_part(self, claim: Claim) -> tuple[bytes, bool] | None:
        """What is kept of a part, and whether no row of it is unavailable. Raises as `decide_claimed`."""
        return self._shard.kept_part(claim)

    def begin(self, claim: Claim, alone: bool, size: int, name: int) -> Begun:
        """Binds a key that is at home here; see `_core.Shard.begin`, as for the next two."""
        return Begun(*self._shard.begin(claim, alone, size, name))

    def leave(self, claim: Claim, name: int, stays_bound: bool) -> None:
        self._shard.leave(claim, name, stays_bound)

    def finish(self, claim: Claim, name: int, answer: bytes) -> bytes:
        return self._shard.finish(claim, name, answer)

    def put_campaign(self, campaign: Campaign, paused: bool) -> None:
        """Creates a campaign or replaces its rules; what it did so far is kept."""
        rules = rules_of(campaign, paused, self._settings)
        self._shard.put_campaign(rules)
        self._rules[campaign.id] = rules
        self._content_check.put(campaign)

    def knows(self, campaign_id: str) -> bool:
        """Whether the campaign was put here."""
        return campaign_id in self._rules

    def release(self, campaign_id: str, reopens: bool = True) -> dict[Bucket, int]:
        """Gives back all slices of a campaign; what this shard spent of each bucket. Empty if it is not known.

        Without `reopens` minutes that are known to be full are so still.
        """
        return self.budget_manager.release(campaign_id, reopens) if self.knows(campaign_id) else {}

    def release_all(self) -> dict[str, dict[Bucket, int]]:
        """As `release`, of every campaign of which there is anything here, whether it was put since or not."""
        return self.budget_manager.release_all()

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

        A failed message goes on to the next channel of its chain. Raises `ShardUnavailable` if only the ledger knows
        whether that can be paid and cannot be asked; all other events are taken then, and come back as `seen`: who
        stops a channel has stopped it.
        """
        rows = [
            (
                event.id,
                EVENT_TYPES.index(event.type),
                event.message_id,
                None if event.channel is None else CHANNELS.index(event.channel),
                event.value,
                now if event.at is None else event.at,
            )
            for event in events
        ]
        statuses, question = self._shard.apply_events(rows, now)
        passed_over, refusal = 0, None
        while question is not None:
            try:
                if refusal is None:
                    self.budget_manager.acquire(*question)
                else:
                    passed_over += 1
            except ShardUnavailable as error:
                passed_over, refusal = 1, error
            further, question = self._shard.apply_events(rows[len(statuses) + passed_over :], now)
            statuses += further
        if refusal is not None:
            raise refusal
        return [EVENT_STATUSES[status] for status in statuses]

    def claim(
        self,
        room: dict[str, int],
        now: int,
        until: int,
        deduplicates: frozenset[str],
        questions_max: float = math.inf,
    ) -> list[Claimed]:
        """Claims up to so many messages of each channel that are due, for whoever asks alone, in [now, until).

        Nothing may be done about them before this is durable. `deduplicates`: channels whose providers take no attempt
        twice; see `_core.Shard.prepare_claims`, which comes first. Of what is not heard of, and of what is due, so many
        questions go to the ledger; what hangs on more has to wait for the next call.
        """
        left, claimed = [room.get(channel, 0) for channel in CHANNELS], []
        channels, asks, asked = channel_bits(deduplicates), True, 0
        while (question := self._shard.prepare_claims(now, channels, asks and asked < questions_max)) is not None:
            asks, asked = self._acquires(question), asked + 1
        asked = 0
        while True:
            rows, question = self._shard.claim(left, now, until, asks and asked < questions_max)
            for row in rows:
                left[row[5]] -= 1
                claimed.append(Claimed(*row[:5], CHANNELS[row[5]], *row[6:]))
            if question is None:
                return claimed
            asks, asked = self._acquires(question), asked + 1

    def _acquires(self, question: tuple[str, list[tuple[int, int, int]]]) -> bool:
        """Asks the ledger. Where it does not answer, what hangs on it is to be done when it does; the rest goes."""
        try:
            self.budget_manager.acquire(*question)
        except ShardUnavailable:
            return False
        return True

    def abandon_claims(self, now: int, deduplicates: frozenset[str]) -> None:
        """Ends every claim, as if its time were over: for a dispatcher that begins a new life."""
        self._shard.abandon_claims(now, channel_bits(deduplicates))

    def oldest_due(self, now: int) -> dict[str, int | None]:
        """Since when the message is due that waits longest, by channel; None where none is. Changes nothing."""
        return dict(zip(CHANNELS, self._shard.oldest_due(now), strict=True))

    def start(self, claims: list[tuple[str, int]], now: int) -> list[bool]:
        """For each (message id, claim), whether its provider may be called. Not before this is durable."""
        return self._shard.start(claims, now)

    def report(self, reports: list[Report], now: int) -> list[bool]:
        """What became of claimed messages; for each whether it counted. See `_core.Shard.report`.

        Raises `ShardUnavailable` as `apply_events`; reports before that one have counted then, and count no more.
        """
        rows = [report.row() for report in reports]
        counted, question = self._shard.report(rows, now)
        while question is not None:
            self.budget_manager.acquire(*question)
            further, question = self._shard.report(rows[len(counted) :], now)
            counted += further
        return counted

    def learned(self, now: int) -> Learned:
        """What this shard has learned, for all to know."""
        return Learned(now, dict(self._shard.learned(now)))

    def publish(self, figures: Figures) -> None:
        """From now on decisions go by these figures; before the first time, by the tables."""
        self._figures = figures

    def has_messages(self, events: list[tuple[str, str]]) -> list[bool]:
        """For each (event id, message id), whether the event can be applied here, or was; see `engine.event_rounds`."""
        return self._shard.has_messages(events)

    def bind_events(self, events: list[tuple[str, str | None]]) -> list[str | None]:
        """Binds event ids at home here to messages; the message that each belongs to."""
        return self._shard.bind_events(events)

    def unbind_events(self, events: list[tuple[str, str]]) -> list[None]:
        """Frees the ids of events that were not applied after all."""
        self._shard.unbind_events(events)
        return [None] * len(events)

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

    def load_page(self, number: int, sequence: int, page: bytes) -> None:
        """Reads the state as it was written down; see `_core.Shard.load_page`, as for the next three."""
        self._shard.load_page(number, sequence, page)

    def load_group(self, sequence: int, effects: bytes) -> None:
        self._shard.load_group(sequence, effects)

    def end_load(self) -> None:
        self._shard.end_load()

    def take_group(self, sequence: int) -> tuple[bytes, list[tuple[int, bytes]], int] | None:
        return self._shard.take_group(sequence)

    def sizes(self) -> tuple[int, int]:
        """How many recipients and messages this shard holds."""
        return self._shard.sizes()
