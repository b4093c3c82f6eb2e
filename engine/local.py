"""The engine in process: shards and ledger without Ray, for tests, simulations and benchmarks of the core.

The same parts as in the actors, called one after the other: what it answers is what the cluster answers to the
same requests in the same order.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine._core import CHANNELS, Request
from engine.budget_manager import Bucket, Grants
from engine.config import Settings, default_settings
from engine.delivery import Claimed, Report
from engine.errors import Conflict, UnknownCampaign
from engine.event import Event, decode_events
from engine.event_rounds import Round, take_events
from engine.learning import Learning
from engine.ledger import BudgetLedger, Limits
from engine.model import Campaign, decode_campaign
from engine.orchestrator import Orchestrator
from engine.rehearsal import Taken
from engine.router import Router
from engine.status import build_status

__all__ = ["Engine"]

INCARNATION = 1


class _LocalLedger:
    """The ledger as one shard sees it: recalls are calls."""

    def __init__(self, engine: Engine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        ledger = self._engine.ledger
        answer = ledger.ask(self._shard, INCARNATION, sequence, campaign_id, spent)
        assert answer is None, "no request is repeated here"
        for other, _ in ledger.in_the_way(campaign_id, self._shard, needs):
            self._engine.recall(other, campaign_id, reopens=False)
        return ledger.grant(self._shard, INCARNATION, sequence, campaign_id, needs)

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        return self._engine.ledger.elsewhere(campaign_id, self._shard)


class Engine:
    """All of the engine in one process. Bodies are JSON, as bytes or as what decodes from it."""

    def __init__(self, settings: Settings | None = None, shards: int = 1) -> None:
        self.settings = settings or default_settings()
        self.ledger = BudgetLedger(shards)
        self.router = Router(shards)
        self.shards = [Orchestrator(INCARNATION, self.settings, _LocalLedger(self, shard)) for shard in range(shards)]
        self._learning = Learning(self.settings)
        self._campaigns: dict[str, tuple[Campaign, bool]] = {}
        for shard in range(shards):
            self.ledger.register(shard, INCARNATION, {})

    def set_clock(self, now: int) -> None:
        """Publishes what all shards have learned until then, as a move of the manual clock does."""
        figures = self._learning.figures([shard.learned(now) for shard in self.shards], now)
        for shard in self.shards:
            shard.publish(figures)

    def put_campaign(self, body: bytes | dict[str, Any], campaign_id: str | None = None) -> Campaign:
        """Creates or replaces a campaign. Raises `RequestError`; `Conflict` for a change that messages forbid."""
        campaign = decode_campaign(_json(body), campaign_id or _id_of(body), self.settings)
        old, paused = self._campaigns.get(campaign.id, (campaign, False))
        changed = campaign.changes_fixed_by_messages(old)
        if changed and any(sum(shard.tally(campaign.id)["messages"]) for shard in self.shards):
            raise Conflict(f"The campaign has messages: {', '.join(changed)} can no longer change.")
        self._set(campaign, paused)
        return campaign

    def pause(self, campaign_id: str) -> None:
        """From now on the campaign decides nothing."""
        self._set(self._campaign(campaign_id)[0], True)

    def resume(self, campaign_id: str) -> None:
        """Ends a pause."""
        self._set(self._campaign(campaign_id)[0], False)

    def send_batch(self, body: bytes | dict[str, Any], now: int) -> dict[str, Any]:
        """Decides a batch. Raises `RequestError`, `UnknownCampaign`."""
        return msgspec.json.decode(self.send_batch_json(_json(body), now))  # type: ignore[no-any-return]

    def send_batch_json(self, body: bytes, now: int) -> bytes:
        """The same from JSON to JSON."""
        request = self.router.parse_batch(body)
        return request.replies(self._decide(request, now)).render_batch(None if request.dry_run else "b-local")

    def send(self, body: bytes | dict[str, Any], now: int) -> dict[str, Any]:
        """Decides for one recipient. Raises `RequestError`, `UnknownCampaign`."""
        request = self.router.parse_send(_json(body))
        ((decision, _),) = request.replies(self._decide(request, now)).render_sends()
        return msgspec.json.decode(decision)  # type: ignore[no-any-return]

    def put_recipient(self, recipient_id: str, body: bytes | dict[str, Any], now: int) -> None:
        """Keeps a profile. Raises `RequestError`."""
        request = self.router.parse_profile(recipient_id, _json(body))
        for shard in request.shards:
            self.shards[shard].merge_profile(request.part(shard, now))
            self._reopen_freed(shard)

    def suppress(self, recipient_id: str, scope: str, until: int | None, reason: str | None, now: int) -> None:
        """Stops a channel or `all` in [now, until) for a recipient."""
        self._shard_of(recipient_id).suppress(recipient_id, _channel(scope), until, reason, now)
        self._reopen_freed(self.router.shard_of_recipient(recipient_id))

    def lift(self, recipient_id: str, scope: str) -> bool:
        """Lifts such a stop; False if there was none."""
        return self._shard_of(recipient_id).lift(recipient_id, _channel(scope))

    def erase(self, recipient_id: str, now: int) -> bool:
        """Forgets a person as `DELETE /recipients/{id}` does; False if nobody is known by this id."""
        erased = self._shard_of(recipient_id).erase(recipient_id, now)
        self._reopen_freed(self.router.shard_of_recipient(recipient_id))
        return erased

    def events(self, body: bytes | dict[str, Any], now: int) -> dict[str, Any]:
        """Takes events, as `POST /events` answers. Raises `RequestError`."""
        decoded = decode_events(_json(body))
        applied = iter(self._take([event for event in decoded if isinstance(event, Event)], now))
        results: list[dict[str, Any]] = []
        for event in decoded:
            if isinstance(event, Event):
                results.append({"id": event.id, "status": next(applied)})
            else:
                errors = [{"path": path, "message": message} for path, message in event.errors]
                results.append({"id": event.id, "status": "invalid", "errors": errors})
        return {"results": results}

    def message(self, message_id: str) -> dict[str, Any] | None:
        """A message as `GET /messages/{id}` answers it."""
        shard = self.router.shard_of_message(message_id)
        return None if shard is None else self.shards[shard].message(message_id)

    def cancel(self, message_id: str) -> dict[str, Any] | None:
        """Cancels a message as `DELETE /messages/{id}` does. Raises `Conflict` if it does not wait any more."""
        shard = self.router.shard_of_message(message_id)
        if shard is None:
            return None
        message = self.shards[shard].cancel(message_id)
        self._reopen_freed(shard)
        return message

    def claim(self, room: dict[str, int], now: int, until: int, deduplicates: frozenset[str]) -> list[Claimed]:
        """Claims messages that are due; see `Orchestrator.claim`. Each shard has all of the room."""
        claimed: list[Claimed] = []
        for index, shard in enumerate(self.shards):
            claimed += shard.claim(room, now, until, deduplicates)
            self._reopen_freed(index)
        return claimed

    def abandon_claims(self, now: int, deduplicates: frozenset[str]) -> None:
        """See `Orchestrator.abandon_claims`."""
        for index, shard in enumerate(self.shards):
            shard.abandon_claims(now, deduplicates)
            self._reopen_freed(index)

    def oldest_due(self, now: int) -> dict[str, int | None]:
        """See `Orchestrator.oldest_due`."""
        by_shard = [shard.oldest_due(now) for shard in self.shards]
        return {
            channel: min((at for oldest in by_shard if (at := oldest[channel]) is not None), default=None)
            for channel in CHANNELS
        }

    def start(self, claims: list[tuple[str, int]], now: int) -> list[bool]:
        """See `Orchestrator.start`."""
        started: list[bool] = []
        for key in claims:
            started += self._shard_of_message(key[0]).start([key], now)
            for shard in range(len(self.shards)):
                self._reopen_freed(shard)
        return started

    def report(self, reports: list[Report], now: int) -> list[bool]:
        """See `Orchestrator.report`."""
        counted: list[bool] = []
        for report in reports:
            counted += self._shard_of_message(report.message_id).report([report], now)
            for shard in range(len(self.shards)):
                self._reopen_freed(shard)
        return counted

    def recipient(self, recipient_id: str, now: int) -> dict[str, Any] | None:
        """A recipient as `GET /recipients/{id}` answers it."""
        return self._shard_of(recipient_id).recipient(recipient_id, now)

    def status(self, campaign_id: str, now: int) -> dict[str, Any]:
        """A campaign's status. Raises `UnknownCampaign`."""
        campaign, paused = self._campaign(campaign_id)
        return build_status(campaign, paused, [shard.tally(campaign_id) for shard in self.shards], now)

    def state_hashes(self) -> list[str]:
        """A digest of each shard's state."""
        return [shard.state_hash() for shard in self.shards]

    def recall(self, shard: int, campaign_id: str, reopens: bool = True) -> None:
        """Has a shard give back its slices of a campaign; see `Orchestrator.release`."""
        self.ledger.report(shard, INCARNATION, campaign_id, self.shards[shard].release(campaign_id, reopens))

    def _set(self, campaign: Campaign, paused: bool) -> None:
        if campaign.id not in self._campaigns:
            self.ledger.set_limits(campaign.id, Limits())
        # What was spent so far must be known before new limits are counted from it.
        for index, shard in enumerate(self.shards):
            shard.put_campaign(campaign, paused)
            self.recall(index, campaign.id)
        self.ledger.set_limits(campaign.id, Limits.of(campaign))
        self._campaigns[campaign.id] = (campaign, paused)

    def _campaign(self, campaign_id: str) -> tuple[Campaign, bool]:
        if campaign_id not in self._campaigns:
            raise UnknownCampaign(campaign_id)
        return self._campaigns[campaign_id]

    def _decide(self, request: Request, now: int) -> dict[int, bytes | None]:
        self._campaign(request.campaign_id)
        answers: dict[int, bytes | None] = {}
        if request.dry_run:
            taken: Taken = {}
            for shard in request.shards:
                answers[shard], taken = self.shards[shard].rehearse(request.part(shard, now), taken)
            return answers
        for shard in request.shards:
            answers[shard] = self.shards[shard].decide(request.part(shard, now))
            self._reopen_freed(shard)
        return answers

    def _reopen_freed(self, shard: int) -> None:
        """Money came back to a shard: no other may go on believing that there is none."""
        for campaign_id in self.shards[shard].take_freed():
            for other in range(len(self.shards)):
                self.recall(other, campaign_id)

    def _take(self, events: list[Event], now: int) -> list[str]:
        rounds = take_events(self.router, events, now)
        answers: dict[int, list[Any]] | None = None
        while True:
            try:
                step: Round = next(rounds) if answers is None else rounds.send(answers)
            except StopIteration as done:
                return list(done.value)
            answers = {shard: self._take_round(step, shard) for shard in step.rows}

    def _take_round(self, step: Round, shard: int) -> list[Any]:
        answers: list[Any] = getattr(self.shards[shard], step.method)(step.rows[shard], *step.arguments)
        self._reopen_freed(shard)
        return answers

    def _shard_of_message(self, message_id: str) -> Orchestrator:
        shard = self.router.shard_of_message(message_id)
        assert shard is not None, "it was claimed here"
        return self.shards[shard]

    def _shard_of(self, recipient_id: str) -> Orchestrator:
        return self.shards[self.router.shard_of_recipient(recipient_id)]


def _json(body: bytes | dict[str, Any]) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def _id_of(body: bytes | dict[str, Any]) -> str:
    campaign = msgspec.json.decode(body) if isinstance(body, bytes) else body
    return str(campaign["id"])


def _channel(scope: str) -> int | None:
    return None if scope == "all" else CHANNELS.index(scope)
