"""Delivery: what a dispatcher gets of a message that it claimed, and what it says of it afterwards."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from engine._core import CHANNELS, DELIVERY_OUTCOMES

__all__ = ["Claimed", "DeliveryOutcome", "Report", "channel_bits"]

DeliveryOutcome: TypeAlias = Literal["accepted", "rejected", "later", "unknown"]


class Claimed(NamedTuple):
    """A message that is due, and the claim by which one dispatcher may deliver it."""

    message_id: str
    claim: int
    """Its number: only the claim made last counts."""
    tries: int
    """How often its attempt on this channel was put off by the provider, or made without a word of what came of it."""
    repeats: bool
    """Whether the attempt was made before, and may have been taken."""
    attempt: int
    """How many attempts came before. With the message id, the key by which a provider may know an attempt again."""
    channel: str
    recipient_id: str
    campaign_id: str
    address: str
    content: bytes | None
    """The request's `content`, JSON."""
    scheduled_at: int

    @property
    def key(self) -> tuple[str, int]:
        """What `Orchestrator.start` takes."""
        return self.message_id, self.claim

    def report(
        self,
        outcome: DeliveryOutcome,
        *,
        later: int = 0,
        provider_id: str | None = None,
        detail: str | None = None,
    ) -> Report:
        """What became of it."""
        return Report(self.message_id, self.claim, outcome, later, provider_id, detail)


class Report(NamedTuple):
    """What became of a claimed message. `detail` is for people, and names nobody."""

    message_id: str
    claim: int
    outcome: DeliveryOutcome
    later: int
    """Of `later`: the instant from which on it may be tried again."""
    provider_id: str | None
    detail: str | None

    def row(self) -> tuple[str, int, int, int, str | None, str | None]:
        """As the core takes it."""
        return self._replace(outcome=DELIVERY_OUTCOMES.index(self.outcome))  # type: ignore[arg-type, return-value]


def channel_bits(channels: frozenset[str]) -> int:
    """A bit for each, as the core takes sets of channels."""
    return sum(1 << CHANNELS.index(channel) for channel in channels)
