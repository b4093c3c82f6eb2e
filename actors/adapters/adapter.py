"""Adapter: what the dispatcher asks of a provider, and what may come of it.

The rule (design, section 7): `start` is awaited just before the step that cannot be taken back, and where it says False
nothing is sent. Before that step every failure is `Later` or `Rejected`; after it only what the provider itself said is
definite, and everything else is `Unknown`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeAlias

from engine.content import Content

__all__ = ["Accepted", "Adapter", "Content", "Delivery", "Later", "Outcome", "Rejected", "Start", "Unknown"]


class Delivery(NamedTuple):
    """One attempt to be made."""

    message_id: str
    attempt: int
    """How many attempts of the message came before."""
    channel: str
    recipient_id: str
    campaign_id: str
    address: str
    content: Content
    data: bytes | None
    """The request's `content`, a JSON object, as it was given."""
    scheduled_at: int
    """Seconds since the epoch."""
    unsubscribe_url: str | None
    """Where one click unsubscribes; None where no `delivery.public_url` is configured."""

    @property
    def key(self) -> str:
        """By which a provider may know the attempt again."""
        return f"{self.message_id}.{self.attempt}"


class Accepted(NamedTuple):
    """The provider took it."""

    provider_id: str | None = None


class Rejected(NamedTuple):
    """It will not reach the person on this channel. `detail` is for people, and names nobody, as in all outcomes."""

    detail: str


class Later(NamedTuple):
    """It was not taken, and may be later: after `after_s` where the provider says so."""

    detail: str
    after_s: float | None = None


class Unknown(NamedTuple):
    """It may have been taken."""

    detail: str


Outcome: TypeAlias = Accepted | Rejected | Later | Unknown

Start: TypeAlias = Callable[[], Awaitable[bool]]
"""Makes the attempt durable; False where it must not be made any more. Called once."""


class Adapter(Protocol):
    """A way to a provider, on one event loop."""

    @property
    def deduplicates(self) -> bool:
        """Whether the provider takes an attempt (`Delivery.key`) once, however often it is made."""
        ...

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        """Makes an attempt; None where `start` said False. What it raises counts as `Unknown` after `start` said True,
        and as `Later` before."""
        ...

    async def close(self) -> None:
        """Lets go of connections and files."""
        ...
