"""The client: what a front end or a data job asks of a cluster, as coroutines."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from actors.answers import ActorUnreachable, NoAnswerInTime, answer_of, check_decided, unless_unavailable
from actors.dispatcher import DISPATCHER_NAME, DeliveryFigures
from actors.gather import Call, Gatherer
from actors.keyed import Dry, Keyed
from actors.ledger import LEDGER_NAME
from actors.line_caller import LineCaller
from actors.line_frames import clock_of, outcomes_of, parts_as_bytes
from actors.shard_link import shard_name
from actors.standing import Part, Standing
from actors.timeouts import Timeouts
from engine._core import CHANNELS, Request
from engine.errors import MadanSaraError, Overloaded, ShardUnavailable, StateFault
from engine.event import Event
from engine.event_rounds import Round, take_events
from engine.form import JSON, Form
from engine.model import Campaign
from engine.rehearsal import Taken
from engine.router import Router
from engine.settings import Settings
from engine.status import build_status

__all__ = ["BATCHES_MAX", "AsyncOutreach"]

Outcomes = list[bytes | MadanSaraError]
"""What became of each part, in order."""

Sent = tuple[bytes, list[tuple[str, str, int]]]
"""A decision as `POST /send` answers it, and (status, channel or reason, count)."""

BATCHES_MAX = 32
"""Batches of one client that a shard may have to answer; beyond it a batch is refused."""


class AsyncOutreach:
    """A cluster's client on one event loop. Instants are whole seconds since the epoch.

    Every call may raise `ShardUnavailable`, which says who does not answer.
    """

    def __init__(
        self,
        ledger: Any,
        shards: Sequence[Any],
        settings: Settings,
        dispatcher: Any | None = None,
        by_line: bool = False,
    ) -> None:
        """`ledger`, `shards` and `dispatcher` are the actors' handles, shards by number; without a dispatcher nothing
        is delivered. `by_line`: lines are used where they are."""
        self.settings = settings
        self._timeouts = Timeouts.of(settings)
        self._ledger = ledger
        self._shards = list(shards)
        self._dispatcher = dispatcher
        self._router = Router(len(self._shards))
        self._batches = [0] * len(self._shards)
        self._lines = [self._line_to(shard) for shard in range(len(self._shards))] if by_line else []
        self._clock_line = self._line_to_clock() if by_line and settings.clock == "manual" else None
        self._clock = Gatherer(self._read_clock)
        self._gatherers = [Gatherer(self._sender(shard)) for shard in range(len(self._shards))]
        self.keyed = Keyed(
            self._router,
            self._ask_shard,
            self.now,
            self._standing,
            self._places,
            Dry(self.send_body, self.send_batch_body),
            patience_s=2 * self._timeouts.answer,
        )
        """The same calls for requests with an Idempotency-Key."""

    async def close(self) -> None:
        """Lets go of its lines; to be called on its event loop, at the end."""
        for line in [*self._lines, self._clock_line]:
            if line is not None:
                line.close()
        await asyncio.sleep(0)  # connections close when the loop goes round

    # ---- time -------------------------------------------------------------------------------------------

    async def now(self) -> int:
        """The system clock here, or the cluster's manual clock."""
        if self.settings.clock == "system":
            return int(time.time())
        return await self._clock.ask(None)

    async def set_clock(self, now: int) -> None:
        """Moves the manual clock. Raises `Conflict` if that would be backwards."""
        await self._ask_ledger("set_clock", now)
        if self._dispatcher is not None:
            with suppress(ShardUnavailable):  # it looks by itself, too
                await self._ask_dispatcher("look")

    # ---- campaigns --------------------------------------------------------------------------------------

    async def put_campaign(self, campaign: Campaign) -> None:
        """Creates or replaces a campaign; afterwards every shard decides by it. See `Ledger.put_campaign`."""
        await self._ask_ledger("put_campaign", campaign)

    async def get_campaign(self, campaign_id: str) -> tuple[Campaign, bool]:
        """A campaign and whether it is paused. Raises `UnknownCampaign`."""
        standing = await self._standing(campaign_id)
        return standing.campaign, standing.paused

    async def list_campaigns(self) -> list[tuple[Campaign, bool]]:
        """All campaigns, by id."""
        standings: list[Standing] = await self._ask_ledger("list_campaigns")
        return [(standing.campaign, standing.paused) for standing in standings]

    async def pause(self, campaign_id: str) -> None:
        """From now on the campaign decides nothing. Raises `UnknownCampaign`."""
        await self._ask_ledger("set_paused", campaign_id, True)

    async def resume(self, campaign_id: str) -> None:
        """Ends a pause. Raises `UnknownCampaign`."""
        await self._ask_ledger("set_paused", campaign_id, False)

    async def status(self, campaign_id: str) -> dict[str, Any]:
        """A campaign's status (contract, section 6). Raises `UnknownCampaign`."""
        standing, now = await asyncio.gather(self._standing(campaign_id), self.now())
        tallies = await asyncio.gather(
            *(self._ask_shard(shard, "tally", campaign_id) for shard in range(len(self._shards)))
        )
        return build_status(standing.campaign, standing.paused, tallies, now)

    # ---- decisions --------------------------------------------------------------------------------------

    async def send_batch_body(self, body: bytes, form: Form = JSON) -> tuple[bytes, list[tuple[str, str, int]]]:
        """Decides the body of `POST /send-batch`: the answer in its form, and (status, channel or reason, count).

        A dry run counts nothing. Recipients whose shard fails are `unavailable`. Raises `RequestError`,
        `UnknownCampaign`, `Overloaded`.
        """
        request = await asyncio.to_thread(self._router.parse_batch, body, form)
        with self._places(request.shards):
            now = await self.now()
            if not request.shards:
                await self._standing(request.campaign_id)
            if request.dry_run:
                answers = await self._rehearse(request, now)
                rendered, _ = await asyncio.to_thread(form.render, request, answers, None)
                return rendered, []
            outcomes = await asyncio.gather(*(self._decide_for(request, shard, now) for shard in request.shards))
        answers = dict(zip(request.shards, outcomes, strict=True))
        return await asyncio.to_thread(form.render, request, answers, f"b-{uuid.uuid4().hex}")

    async def send_body(self, body: bytes) -> tuple[bytes, list[tuple[str, str, int]]]:
        """As `send_batch_body`, of `POST /send`. Sends that arrive together share a call.

        Raises `RequestError`, `UnknownCampaign`, `Overloaded`, and `ShardUnavailable` if its shard fails.
        """
        request = self._router.parse_send(body)
        now = await self.now()
        (shard,) = request.shards
        if request.dry_run:
            with self._places([shard]):
                answers = await self._rehearse(request, now)
            if answers[shard] is None:
                raise ShardUnavailable(f"The {shard_name(shard)} does not answer.")
            ((decision, tally),) = request.replies(answers).render_sends()
            check_decided(tally)
            return decision, []
        decision, tally = await self._gatherers[shard].ask((request, now))
        check_decided(tally)
        return decision, tally

    # ---- messages, recipients, events -------------------------------------------------------------------

    async def message(self, message_id: str) -> dict[str, Any] | None:
        """A message as the contract shows it, or None."""
        return await self._ask_its_shard("message", message_id)

    async def cancel(self, message_id: str) -> dict[str, Any] | None:
        """Cancels a message: as it is then, or None if there is none. Raises `Conflict` if it does not wait."""
        return await self._ask_its_shard("cancel", message_id)

    async def recipient(self, recipient_id: str) -> dict[str, Any] | None:
        """A recipient as the contract shows it, or None."""
        shard = self._router.shard_of_recipient(recipient_id)
        recipient: dict[str, Any] | None = await self._ask_shard(shard, "recipient", recipient_id, await self.now())
        return recipient

    async def put_recipient(self, recipient_id: str, body: bytes) -> None:
        """Keeps a profile, the body of `PUT /recipients/{id}`. Raises `RequestError`."""
        request = self._router.parse_profile(recipient_id, body)
        now = await self.now()
        for shard in request.shards:
            await self._ask_shard(shard, "merge_profile", request.part(shard, now))

    async def suppress(self, recipient_id: str, scope: str, until: int | None, reason: str | None) -> None:
        """Stops a channel, or `all`, for a recipient, known or not, up to `until` (None: for good)."""
        shard = self._router.shard_of_recipient(recipient_id)
        await self._ask_shard(shard, "suppress", recipient_id, _channel(scope), until, reason, await self.now())

    async def lift(self, recipient_id: str, scope: str) -> bool:
        """Lifts such a stop; False if there was none."""
        shard = self._router.shard_of_recipient(recipient_id)
        lifted: bool = await self._ask_shard(shard, "lift", recipient_id, _channel(scope))
        return lifted

    async def erase(self, recipient_id: str) -> bool:
        """Forgets a person, but not their stops; False if nobody is known by this id. The shard forgets first, so that
        nothing more of them reaches the outbox."""
        shard = self._router.shard_of_recipient(recipient_id)
        erased: bool = await self._ask_shard(shard, "erase", recipient_id, await self.now())
        asked = self._ask_ledger if self._dispatcher is None else self._ask_dispatcher  # what was delivered before
        was_in_outbox: bool = await asked("forget", recipient_id)
        return erased or was_in_outbox

    async def events(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Takes events; for each in order its `id` and `status`: `applied`, `seen` or `unknown`.

        If a shard does not answer, the events of others may have been applied; repeating all of them is safe.
        """
        rounds = take_events(self._router, events, await self.now())
        answers: dict[int, list[Any]] | None = None
        while True:
            try:
                step = next(rounds) if answers is None else rounds.send(answers)
            except StopIteration as done:
                statuses: list[str] = done.value
                return [{"id": event.id, "status": status} for event, status in zip(events, statuses, strict=True)]
            answers = await self._take_round(step)

    # ---- delivery ---------------------------------------------------------------------------------------

    async def delivery(self) -> DeliveryFigures | None:
        """How delivery goes; None where nothing is delivered."""
        if self._dispatcher is None:
            return None
        figures: DeliveryFigures = await self._ask_dispatcher("figures")
        return figures

    async def secret(self) -> bytes:
        """The cluster's, 16 bytes: what is signed with it comes from here."""
        secret: bytes = await self._ask_ledger("secret")
        return secret

    async def ready(self) -> dict[int, bool]:
        """Whether each shard, and the ledger with it, answers."""
        ledger, *shards = await asyncio.gather(
            _answers(self._ask_ledger("ping")),
            *(_answers(self._ask_shard(shard, "ping")) for shard in range(len(self._shards))),
        )
        return {shard: ledger and answers for shard, answers in enumerate(shards)}

    # ---- inside -----------------------------------------------------------------------------------------

    @contextmanager
    def _places(self, shards: Sequence[int]) -> Iterator[None]:
        """A place at each shard, taken before anything is waited for."""
        if any(self._batches[shard] >= BATCHES_MAX for shard in shards):
            raise Overloaded(f"{BATCHES_MAX} batches are being decided already.")
        for shard in shards:
            self._batches[shard] += 1
        try:
            yield
        finally:
            for shard in shards:
                self._batches[shard] -= 1

    async def _decide_for(self, request: Request, shard: int, now: int) -> bytes | None:
        """The shard's answer to its part of a batch; None if it does not answer. A decide is never repeated."""
        return await unless_unavailable(self._decide(shard, [(request.campaign_id, request.part(shard, now))]))

    async def _rehearse(self, request: Request, now: int) -> dict[int, bytes | None]:
        """The shards' answers to a dry run, one after the other: each is told what those before would have taken."""
        answers: dict[int, bytes | None] = {}
        taken: Taken = {}
        for shard in request.shards:
            try:
                part = (request.campaign_id, request.part(shard, now))
                outcome = await self._ask_shard(shard, "rehearse", part, taken)
                if isinstance(outcome, MadanSaraError):
                    raise outcome
                answers[shard], taken = outcome
            except ShardUnavailable:
                answers[shard] = None
        return answers

    async def _take_round(self, step: Round) -> dict[int, list[Any]]:
        calls = (self._ask_shard(shard, step.method, rows, *step.arguments) for shard, rows in step.rows.items())
        return dict(zip(step.rows, await asyncio.gather(*calls), strict=True))

    def _sender(self, shard: int) -> Call[tuple[Request, int], Sent]:
        """Has gathered sends decided, each with when it was read: in as few parts as can be, since a part of ten takes
        no longer than one of one. The latest of the times is that of all."""

        async def decide(sends: list[tuple[Request, int]]) -> list[Sent | MadanSaraError]:
            now = max(read_at for _, read_at in sends)
            gathered = Request.together([send for send, _ in sends])
            outcomes = await self._decide(
                shard, [(request.campaign_id, request.part(shard, now)) for request, _ in gathered]
            )
            answers: dict[int, Sent | MadanSaraError] = {}
            for (request, places), outcome in zip(gathered, outcomes, strict=True):
                if isinstance(outcome, MadanSaraError):
                    answers.update(dict.fromkeys(places, outcome))
                else:
                    answers.update(zip(places, request.replies({shard: outcome}).render_sends(), strict=True))
            return [answers[place] for place in range(len(sends))]

        return decide

    async def _decide(self, shard: int, parts: list[Part]) -> Outcomes:
        outcomes: Outcomes | None = None
        if self._lines:
            outcomes = await self._lines[shard].ask(parts_as_bytes(parts), outcomes_of)
        return await self._ask_shard(shard, "decide", parts) if outcomes is None else outcomes

    async def _read_clock(self, asked: list[None]) -> list[int | MadanSaraError]:
        """The manual clock, for all who asked before this began. A ledger that starts again answers by Ray when it has:
        other than a decision, this may be asked twice."""
        now: int | None = None
        if self._clock_line is not None:
            try:
                now = await self._clock_line.ask(b"", clock_of)
            except NoAnswerInTime:
                raise
            except ActorUnreachable:
                pass
        if now is None:
            now = await self._ask_ledger("now")
        return [now] * len(asked)

    def _line_to(self, shard: int) -> LineCaller:
        return LineCaller(shard_name(shard), lambda: self._ask_shard(shard, "line"), self._timeouts.answer)

    def _line_to_clock(self) -> LineCaller:
        return LineCaller(LEDGER_NAME, lambda: self._ask_ledger("line"), 2 * self._timeouts.answer)

    async def _standing(self, campaign_id: str) -> Standing:
        standing: Standing = await self._ask_ledger("get_campaign", campaign_id)
        return standing

    async def _ask_its_shard(self, method: str, message_id: str) -> dict[str, Any] | None:
        shard = self._router.shard_of_message(message_id)
        if shard is None:
            return None
        message: dict[str, Any] | None = await self._ask_shard(shard, method, message_id)
        return message

    async def _ask_ledger(self, method: str, *arguments: object) -> Any:
        reference = getattr(self._ledger, method).remote(*arguments)
        # Twice a shard's time: some answers wait for the shards', and say so themselves if they wait in vain.
        return await answer_of(reference, LEDGER_NAME, 2 * self._timeouts.answer)

    async def _ask_dispatcher(self, method: str, *arguments: object) -> Any:
        reference = getattr(self._dispatcher, method).remote(*arguments)
        return await answer_of(reference, DISPATCHER_NAME, self._timeouts.answer)

    async def _ask_shard(self, shard: int, method: str, *arguments: object) -> Any:
        reference = getattr(self._shards[shard], method).remote(*arguments)
        return await answer_of(reference, shard_name(shard), self._timeouts.answer)


async def _answers(call: Any) -> bool:
    try:
        await call
    except (ShardUnavailable, StateFault):
        return False
    return True


def _channel(scope: str) -> int | None:
    return None if scope == "all" else CHANNELS.index(scope)
