"""How the ledger's pieces are written in its file: a key that says which piece, and a value in MessagePack.

A key's first word is the kind of the piece; a campaign's id, which may have spaces, comes last. A field that a later
version adds goes to the end of a record and has a default.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec
import numpy as np

from engine._core import CHANNELS
from engine.accounts import Limits
from engine.budget_manager import Slice
from engine.learning import Learned
from engine.ledger_images import Amounts, Image, Imbalance, Life, Page, Terms
from engine.model import Campaign
from engine.scalars import decode_scalar, encode_scalar

__all__ = [
    "BOOK_KINDS",
    "CourseRecord",
    "Entry",
    "PublicationRecord",
    "course_entry",
    "image_entry",
    "learned_entries",
    "read_course",
    "read_image",
    "read_learned",
    "read_number",
    "read_publication",
]

Entry = tuple[str, bytes | None]
"""A key and its value; None where there is nothing to keep."""

BOOK_KINDS = frozenset({"life", "terms", "page", "amounts", "imbalance"})
"""Kinds of pieces that are the book's."""

HOURS = 24
NARROW = zlib.Z_BEST_SPEED
"""Counts are mostly zeros: any compression makes 2,688 bytes some hundreds."""


class CourseRecord(msgspec.Struct, array_like=True):
    """One campaign; see `actors.changes.Course`."""

    campaign: Campaign
    paused: bool
    version: int
    in_force: int
    held_still: bool
    reopens: bool


class PublicationRecord(msgspec.Struct, array_like=True):
    """The last publication; what the shards had reported is kept beside it."""

    number: int
    now: int


class TermsRecord(msgspec.Struct, array_like=True):
    limits: Limits
    ceilings: list[tuple[int, int, int]]
    """Kind, key, amount."""


class PageRecord(msgspec.Struct, array_like=True):
    asking: int
    sequence: int
    granted: list[tuple[int, int, int, bool, int]]
    """Kind, key, and a slice."""


class LearnedRecord(msgspec.Struct, array_like=True):
    as_of: int
    counts: bytes


encode = msgspec.msgpack.Encoder().encode
encode_course = msgspec.msgpack.Encoder(enc_hook=encode_scalar).encode
decode_course = msgspec.msgpack.Decoder(CourseRecord, dec_hook=decode_scalar).decode
decode_publication = msgspec.msgpack.Decoder(PublicationRecord).decode
decode_terms = msgspec.msgpack.Decoder(TermsRecord).decode
decode_page = msgspec.msgpack.Decoder(PageRecord).decode
decode_learned = msgspec.msgpack.Decoder(LearnedRecord).decode
decode_amounts = msgspec.msgpack.Decoder(tuple[int, int]).decode
decode_text = msgspec.msgpack.Decoder(str).decode
read_number = msgspec.msgpack.Decoder(int).decode
read_publication = decode_publication


def image_entry(image: Image) -> Entry:
    """A piece of the book."""
    match image:
        case Life(shard, incarnation):
            return f"life {shard}", encode(incarnation)
        case Terms(campaign_id, limits, ceilings):
            rows = [(kind, key, amount) for (kind, key), amount in sorted(ceilings.items())]
            return f"terms {campaign_id}", encode(TermsRecord(limits, rows))
        case Page(campaign_id, shard, asking, sequence, granted):
            slices = [(kind, key, *slice_) for (kind, key), slice_ in granted.items()]
            return f"page {shard} {campaign_id}", encode(PageRecord(asking, sequence, slices))
        case Amounts(campaign_id, shard, (kind, key), spent, held):
            value = encode((spent, held)) if spent or held else None
            return f"amounts {shard} {kind} {key} {campaign_id}", value
        case Imbalance(number, text):
            return f"imbalance {number}", encode(text)


def read_image(key: str, value: bytes) -> Image:
    """The piece of the book that an entry of one of `BOOK_KINDS` is."""
    kind, rest = key.split(" ", 1)
    match kind:
        case "life":
            return Life(int(rest), read_number(value))
        case "terms":
            terms = decode_terms(value)
            ceilings = {(bucket_kind, bucket): amount for bucket_kind, bucket, amount in terms.ceilings}
            return Terms(rest, terms.limits, ceilings)
        case "page":
            shard, campaign_id = rest.split(" ", 1)
            page = decode_page(value)
            granted = {(row[0], row[1]): Slice(*row[2:]) for row in page.granted}
            return Page(campaign_id, int(shard), page.asking, page.sequence, granted)
        case "amounts":
            shard, bucket_kind, bucket, campaign_id = rest.split(" ", 3)
            return Amounts(campaign_id, int(shard), (int(bucket_kind), int(bucket)), *decode_amounts(value))
        case "imbalance":
            return Imbalance(int(rest), decode_text(value))
    raise ValueError(f"{kind!r} is no piece of the book")


def course_entry(record: CourseRecord) -> Entry:
    """A campaign as it stands."""
    return f"course {record.campaign.id}", encode_course(record)


def read_course(value: bytes) -> CourseRecord:
    """What `course_entry` wrote."""
    return decode_course(value)


def learned_entries(shard: int, report: Learned) -> Iterator[Entry]:
    """What a shard reported to have learned, campaign by campaign."""
    for campaign_id, counts in report.counts.items():
        narrow = zlib.compress(counts.astype("<f8").tobytes(), NARROW)
        yield f"learned {shard} {campaign_id}", encode(LearnedRecord(report.as_of, narrow))


def read_learned(key: str, value: bytes) -> tuple[int, Learned]:
    """The shard, and what it reported of one campaign."""
    _, shard, campaign_id = key.split(" ", 2)
    record = decode_learned(value)
    counts = np.frombuffer(zlib.decompress(record.counts), dtype="<f8").reshape(2, len(CHANNELS), HOURS)
    return int(shard), Learned(record.as_of, {campaign_id: counts})
