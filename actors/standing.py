"""What clients, shards and the ledger tell each other."""

from __future__ import annotations

from typing import NamedTuple

from engine.budget_manager import Bucket
from engine.claim import Claim
from engine.delivery import Claimed
from engine.learning import Figures
from engine.model import Campaign

__all__ = [
    "ClaimedPart",
    "Claims",
    "Demand",
    "Introduction",
    "Opening",
    "Part",
    "Publication",
    "Registration",
    "Report",
    "Standing",
]

Part = tuple[str, bytes]
"""A campaign's id, and the recipients of a request that are one shard's (`_core.Request.part`)."""


class ClaimedPart(NamedTuple):
    """A part that came with an idempotency key."""

    campaign_id: str
    columns: bytes
    claim: Claim


class Claims(NamedTuple):
    """What a dispatcher gets when it asks what is due."""

    claimed: list[Claimed]
    versions: dict[str, int]
    """Of the rules of each campaign among them."""
    oldest: dict[str, int]
    """For each channel on which something is due still: the instant of what waits longest."""


class Opening(NamedTuple):
    """How a key's home is asked to bind it; see `engine.orchestrator.Orchestrator.begin`."""

    claim: Claim
    alone: bool
    size: int
    name: int


class Standing(NamedTuple):
    """A campaign as it stands. Every change of it, a pause included, is a version of its own."""

    campaign: Campaign
    paused: bool
    version: int


class Demand(NamedTuple):
    """A shard's request for money; see `engine.ledger.BudgetLedger.ask` and `grant`."""

    shard: int
    incarnation: int
    sequence: int
    version: int
    """Of the campaign's rules that the shard decides by."""
    campaign_id: str
    spent: dict[Bucket, int]
    needs: dict[Bucket, int]
    word: int
    """Of all that a life says of what it spent, reports included, the later has the higher number."""


class Report(NamedTuple):
    """What a shard says of a campaign of which it holds nothing any more."""

    incarnation: int
    spent: dict[Bucket, int]
    """In all lives of the shard, of every bucket that it ever spent from."""
    messages: int
    """How many it ever made, cancelled ones included."""
    word: int
    """As of a `Demand`."""


class Publication(NamedTuple):
    """What all shards decide by until the next one; of two the one with the higher number is later."""

    number: int
    figures: Figures


class Introduction(NamedTuple):
    """What a shard needs to read its file."""

    identity: bytes
    """16 bytes of the state directory: every file of it has them."""
    secret: bytes
    """The cluster's: under it a shard keeps what nobody is to read."""
    lives: int
    """How often the shard was registered; if ever, there must be a file."""


class Registration(NamedTuple):
    """What a shard needs to begin a life."""

    standings: list[Standing]
    publication: Publication
