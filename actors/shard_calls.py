"""Calls of a shard that go on to its core as they are: one at a time, and durable when they are answered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from actors.life import Life
from actors.standing import Claims, Opening
from engine.claim import Begun, Claim
from engine.delivery import Report
from engine.errors import MadanSaraError
from engine.event import Event
from engine.status import Tally

__all__ = ["CoreCalls"]

QUESTIONS_MAX = 64
"""To the ledger, of one look at what is due, of each kind: whoever else asks the shard waits meanwhile."""


class CoreCalls(ABC):
    """See `Orchestrator` for each."""

    @abstractmethod
    def _alive(self) -> AbstractContextManager[Life]:
        """The life, with the turn, for one call; afterwards all that it did is durable."""

    # ---- idempotency keys -------------------------------------------------------------------------------

    def kept_part(self, claim: Claim) -> tuple[bytes, bool] | None:
        """See `Orchestrator`, as are the next two."""
        with self._alive() as life:
            return life.core.kept_part(claim)

    def leave(self, claim: Claim, name: int, stays_bound: bool) -> None:
        with self._alive() as life:
            life.core.leave(claim, name, stays_bound)

    def finish(self, claim: Claim, name: int, answer: bytes) -> bytes:
        with self._alive() as life:
            return life.core.finish(claim, name, answer)

    def begin(self, openings: list[Opening]) -> list[Begun | MadanSaraError]:
        """Binds keys in order; see `Orchestrator.begin`."""
        begun: list[Begun | MadanSaraError] = []
        with self._alive() as life:
            for opening in openings:
                try:
                    begun.append(life.core.begin(*opening))
                except MadanSaraError as error:
                    begun.append(error)
        return begun

    # ---- recipients, messages, events -------------------------------------------------------------------

    def merge_profile(self, part: bytes) -> None:
        """See `Orchestrator`, as are the next ten."""
        with self._alive() as life:
            life.core.merge_profile(part)

    def suppress(self, recipient_id: str, channel: int | None, until: int | None, reason: str | None, now: int) -> None:
        with self._alive() as life:
            life.core.suppress(recipient_id, channel, until, reason, now)

    def lift(self, recipient_id: str, channel: int | None) -> bool:
        with self._alive() as life:
            return life.core.lift(recipient_id, channel)

    def erase(self, recipient_id: str, now: int) -> bool:
        with self._alive() as life:
            return life.core.erase(recipient_id, now)

    def apply_events(self, events: list[Event], now: int) -> list[str]:
        with self._alive() as life:
            return life.core.apply_events(events, now)

    def has_messages(self, events: list[tuple[str, str]]) -> list[bool]:
        with self._alive() as life:
            return life.core.has_messages(events)

    def bind_events(self, events: list[tuple[str, str | None]]) -> list[str | None]:
        with self._alive() as life:
            return life.core.bind_events(events)

    def unbind_events(self, events: list[tuple[str, str]]) -> list[None]:
        with self._alive() as life:
            return life.core.unbind_events(events)

    def cancel(self, message_id: str) -> dict[str, Any] | None:
        with self._alive() as life:
            return life.core.cancel(message_id)

    def message(self, message_id: str) -> dict[str, Any] | None:
        with self._alive() as life:
            return life.core.message(message_id)

    def recipient(self, recipient_id: str, now: int) -> dict[str, Any] | None:
        with self._alive() as life:
            return life.core.recipient(recipient_id, now)

    def tally(self, campaign_id: str) -> Tally:
        """See `engine.status.build_status`."""
        with self._alive() as life:
            return life.core.tally(campaign_id)

    def state_hash(self) -> str:
        """See `Orchestrator`."""
        with self._alive() as life:
            return life.core.state_hash()

    # ---- what the dispatcher says -----------------------------------------------------------------------

    def claim(self, room: dict[str, int], now: int, until: int, deduplicates: frozenset[str]) -> Claims:
        """See `Orchestrator`, as are the next three."""
        with self._alive() as life:
            claimed = life.core.claim(room, now, until, deduplicates, QUESTIONS_MAX)
            versions = {claim.campaign_id: life.link.versions.get(claim.campaign_id, 0) for claim in claimed}
            oldest = {channel: at for channel, at in life.core.oldest_due(now).items() if at is not None}
            return Claims(claimed, versions, oldest)

    def start(self, claims: list[tuple[str, int]], now: int) -> list[bool]:
        with self._alive() as life:
            return life.core.start(claims, now)

    def report(self, reports: list[Report], now: int) -> list[bool]:
        with self._alive() as life:
            return life.core.report(reports, now)

    def abandon_claims(self, now: int, deduplicates: frozenset[str]) -> None:
        with self._alive() as life:
            life.core.abandon_claims(now, deduplicates)
