"""Requests that come with an Idempotency-Key: whoever repeats one is answered as the first time.

A key's home shard binds it to path and body (`begin`). Decisions are kept on the shards that make them, so a copy that
comes meanwhile waits its turn there, and where the answer of a shard is missing only its recipients are decided when
the key comes again. All other answers are kept at home; a copy waits until the first is done. A key whose request
failed without having done anything is free again; where nobody knows, it stays bound, and the same request goes on.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from actors.answers import ActorGone, ActorUnreachable, check_decided, unless_unavailable
from actors.gather import Call, Gatherer
from actors.standing import ClaimedPart, Opening
from engine._core import Request
from engine.claim import Begun, Claim
from engine.errors import MadanSaraError, RequestError, ShardUnavailable
from engine.form import JSON, Form
from engine.orchestrator import ClaimedAnswer
from engine.router import Router

__all__ = ["Dry", "Key", "Keyed", "KeyedAnswer"]

POLL_PAUSE_S = 0.02
"""Before a home is asked again whether the first is done."""

KEY_CHARACTERS_MAX = 255

Tally = list[tuple[str, str, int]]


class Key(NamedTuple):
    """An Idempotency-Key, and the path that it came to, with whatever else beside the body it is bound to."""

    text: str
    path: str

    @classmethod
    def checked(cls, text: object, path: str, name: str) -> Key:
        """One that somebody gave as `name`. Raises `RequestError` (400)."""
        if not isinstance(text, str):
            raise RequestError(400, f"{name} takes text, not a {type(text).__name__}.")
        if not 1 <= len(text) <= KEY_CHARACTERS_MAX:
            raise RequestError(400, f"{name} takes 1 to {KEY_CHARACTERS_MAX} characters; this one has {len(text)}.")
        if not all("!" <= character <= "~" for character in text):
            raise RequestError(400, f"{name} takes visible ASCII characters only, no blanks among them.")
        return cls(text, path)


class Dry(NamedTuple):
    """How dry runs are answered: they change nothing, so there is nothing to keep under a key."""

    send: Callable[[bytes], Awaitable[tuple[bytes, Tally]]]
    send_batch: Callable[[bytes, Form], Awaitable[tuple[bytes, Tally]]]


class KeyedAnswer(NamedTuple):
    """An answer, whether it was given before, and (status, channel or reason, count) of what was decided now."""

    body: bytes
    replayed: bool
    decided: Tally


class _Turn:
    """A request that its key's home let in."""

    def __init__(self, home: int, claim: Claim, begun: Begun) -> None:
        self.home = home
        self.claim = claim
        self.begun = begun
        self.may_have_done_something = False

    @property
    def batch_id(self) -> str:
        return f"b-{self.begun.name:032x}"


class Keyed:
    """The keyed requests of one client. Lives on one event loop; raises as the client does, and

    `RequestError` (422) for another request under the key, `Conflict` where its answer held a person who was erased,
    `Overloaded` where there is no room to keep an answer.
    """

    def __init__(
        self,
        router: Router,
        ask_shard: Callable[..., Awaitable[Any]],
        now: Callable[[], Awaitable[int]],
        get_campaign: Callable[[str], Awaitable[object]],
        places: Callable[[Sequence[int]], AbstractContextManager[None]],
        dry: Dry,
        patience_s: float,
    ) -> None:
        """Takes the client's ways: `ask_shard(shard, method, *arguments)`, and places for batches at shards.

        After `patience_s` whoever was first at a key is given up, and a copy goes on in its place.
        """
        self._router = router
        self._ask_shard = ask_shard
        self._now = now
        self._get_campaign = get_campaign
        self._places = places
        self._dry = dry
        self._patience_s = patience_s
        self._here: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        """Copies of one client follow one another, so that they do not take places from others."""
        self._openings = [Gatherer(self._caller(shard, "begin")) for shard in range(router.shards)]
        self._sends = [Gatherer(self._caller(shard, "decide_claimed")) for shard in range(router.shards)]

    async def send_body(self, key: Key, body: bytes) -> KeyedAnswer:
        """As `AsyncOutreach.send_body`."""
        request = self._router.parse_send(body)
        if request.dry_run:
            return KeyedAnswer((await self._dry.send(body))[0], False, [])
        now = await self._now()
        (shard,) = request.shards
        async with self._turn(key, Claim.of(*key, body, now)) as turn:
            part = ClaimedPart(request.campaign_id, request.part(shard, now), turn.claim)
            kept: ClaimedAnswer = await self._sends[shard].ask(part)
        ((decision, tally),) = request.replies({shard: kept.answer}).render_sends()
        check_decided(tally)  # without an answer yet the key stays bound, and the same request goes on
        replayed = kept.answer == kept.before
        tally = [] if replayed else tally
        return KeyedAnswer(decision, replayed, tally)

    async def send_batch_body(self, key: Key, body: bytes, form: Form = JSON) -> KeyedAnswer:
        """As `AsyncOutreach.send_batch_body`; the form is part of the key's path."""
        request = await asyncio.to_thread(self._router.parse_batch, body, form)
        if request.dry_run:
            return KeyedAnswer((await self._dry.send_batch(body, form))[0], False, [])
        async with self._one_here(key):
            return await self._send_batch(key, body, request, form)

    async def _send_batch(self, key: Key, body: bytes, request: Request, form: Form) -> KeyedAnswer:
        with self._places(request.shards):
            now = await self._now()
            if not request.shards:
                await self._get_campaign(request.campaign_id)
            claim = await asyncio.to_thread(Claim.of, *key, body, now)
            async with self._turn(key, claim) as turn:
                answers = await self._decide_batch(request, turn, now)
        after = {shard: answer.answer if answer else None for shard, answer in answers.items()}
        before = {shard: answer.before if answer else None for shard, answer in answers.items()}
        rendered, tally = await asyncio.to_thread(form.render, request, after, turn.batch_id)
        found = request.replies(before).tally()
        replayed = after == before and None not in after.values() and not (turn.begun.first and not after)
        return KeyedAnswer(rendered, replayed, _decided(tally, found, turn.begun.first))

    async def once(self, key: Key, body: bytes, size: int, work: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        """What `work` gave when the key came first, and whether that was before. The answer takes `size` at most."""
        async with self._one_here(key):
            return await self._once(key, body, size, work)

    async def _once(self, key: Key, body: bytes, size: int, work: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            alone = asyncio.get_running_loop().time() < deadline
            claim = Claim.of(*key, body, await self._now())
            async with self._turn(key, claim, alone, size) as turn:
                if turn.begun.answer is not None:
                    return turn.begun.answer, True
                if not turn.begun.running:
                    try:
                        mine = await work()
                    except ShardUnavailable:
                        turn.may_have_done_something = True  # on other shards
                        raise
                    kept: bytes = await self._ask_shard(turn.home, "finish", turn.claim, turn.begun.name, mine)
                    return kept, False
            await asyncio.sleep(POLL_PAUSE_S)

    # ---- inside -----------------------------------------------------------------------------------------

    def _one_here(self, key: Key) -> asyncio.Lock:
        return self._here.setdefault(key, asyncio.Lock())

    @asynccontextmanager
    async def _turn(self, key: Key, claim: Claim, alone: bool = False, size: int = 0) -> AsyncIterator[_Turn]:
        """Binds the key while the context lasts, and for its time unless that fails without having done anything."""
        home = self._router.home_of(key.text)
        begun: Begun = await self._openings[home].ask(Opening(claim, alone, size, uuid.uuid4().int))
        turn = _Turn(home, claim._replace(began_at=begun.began_at), begun)
        try:
            yield turn
        except Exception as error:
            stays_bound = turn.may_have_done_something or _leaves_open(error)
            with suppress(ShardUnavailable):
                await self._ask_shard(home, "leave", turn.claim, begun.name, stays_bound)
            raise

    async def _decide_batch(self, request: Request, turn: _Turn, now: int) -> dict[int, ClaimedAnswer | None]:
        """By shard what it answers; None if it does not. What it answered before is not decided again."""
        kept = {} if turn.begun.first else await self._recall(request.shards, turn.claim)
        missing = [shard for shard in request.shards if shard not in kept]
        outcomes = await asyncio.gather(
            *(self._decide_for(request, shard, now, turn.claim) for shard in missing), return_exceptions=True
        )
        answers: dict[int, ClaimedAnswer | None] = dict(kept)
        errors: list[BaseException] = []
        for shard, outcome in zip(missing, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                errors.append(outcome)
            else:
                answers[shard] = outcome
        turn.may_have_done_something = any(
            outcome is None or outcome.answer != outcome.before for outcome in answers.values()
        )
        if errors:
            raise errors[0]
        return answers

    async def _recall(self, shards: Sequence[int], claim: Claim) -> dict[int, ClaimedAnswer | None]:
        """What shards need not be asked to decide: all is decided there, or they do not answer."""
        outcomes = await asyncio.gather(*(self._kept_on(shard, claim) for shard in shards))
        return {shard: kept for shard, (settled, kept) in zip(shards, outcomes, strict=True) if settled}

    async def _kept_on(self, shard: int, claim: Claim) -> tuple[bool, ClaimedAnswer | None]:
        try:
            kept: tuple[bytes, bool] | None = await self._ask_shard(shard, "kept_part", claim)
        except ShardUnavailable:
            return True, None
        return (True, ClaimedAnswer(kept[0], kept[0])) if kept and kept[1] else (False, None)

    async def _decide_for(self, request: Request, shard: int, now: int, claim: Claim) -> ClaimedAnswer | None:
        part = ClaimedPart(request.campaign_id, request.part(shard, now), claim)
        answer: ClaimedAnswer | None = await unless_unavailable(self._ask_shard(shard, "decide_claimed", [part]))
        return answer

    def _caller(self, shard: int, method: str) -> Call[Any, Any]:
        async def call(rows: list[Any]) -> Sequence[Any]:
            answers: Sequence[Any] = await self._ask_shard(shard, method, rows)
            return answers

        return call


def _leaves_open(error: Exception) -> bool:
    """Whether something may have happened, or may yet, although this went wrong."""
    return (
        not isinstance(error, MadanSaraError) or isinstance(error, ActorUnreachable | ActorGone) or error.status == 500
    )


def _decided(after: Tally, before: Tally, first: bool) -> Tally:
    """The difference that a request made: what it found decided was counted then."""
    found = {
        (status, label): count for status, label, count in before if not first or status in ("scheduled", "blocked")
    }
    counted = Counter({(status, label): count for status, label, count in after})
    counted.subtract(found)
    return [(status, label, count) for (status, label), count in counted.items() if count > 0]
