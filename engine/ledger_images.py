"""What the budget ledger's book is made of, piece by piece, as it is kept on a disk.

An image is a piece as it is after a change, and replaces the one before it. The pieces are small, and a grant or a
report changes only those that it is about: a campaign with thousands of minutes is never written as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from engine.accounts import Limits
from engine.budget_manager import Bucket, Grants

__all__ = ["Amounts", "Image", "Imbalance", "Life", "Page", "Terms", "Touched"]


class Life(NamedTuple):
    """Which life of a shard may spend."""

    shard: int
    incarnation: int


class Terms(NamedTuple):
    """What a campaign may commit."""

    campaign_id: str
    limits: Limits
    ceilings: dict[Bucket, int]


class Page(NamedTuple):
    """How far a shard's requests for a campaign's money have come; see `engine.accounts.Entry`."""

    campaign_id: str
    shard: int
    asking: int
    sequence: int
    granted: Grants


class Amounts(NamedTuple):
    """What a shard spent and holds of one bucket of a campaign."""

    campaign_id: str
    shard: int
    bucket: Bucket
    spent: int
    held: int


class Imbalance(NamedTuple):
    """A fault that the book noted."""

    number: int
    text: str


Image = Life | Terms | Page | Amounts | Imbalance


@dataclass(slots=True)
class Touched:
    """Which pieces were changed."""

    lives: set[int] = field(default_factory=set)
    terms: set[str] = field(default_factory=set)
    pages: set[tuple[str, int]] = field(default_factory=set)
    amounts: set[tuple[str, int, Bucket]] = field(default_factory=set)
    imbalances: set[int] = field(default_factory=set)
