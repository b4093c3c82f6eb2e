"""What a state file holds, in words that do not change without a new version.

Three tables. `journal` has a row for each commit, `page` the newest image of each part of the state, `head` one row
that knows what the other two must hold. Every row carries a checksum over everything that it says and where it
stands, so that none can be altered, moved or taken for another. The head carries the first and the last sequence of
the journal and the sum of all pages, so that none can be missing and none can be an older one.

The version is the database's `user_version`, and is that of the records in journal and pages, too. A file of an older
version is brought up one version at a time when it is opened to be written (`UPGRADES`); one older than the first that
is known, or newer than the last, is refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from sqlite3 import Connection
from zlib import crc32

__all__ = [
    "APPLICATION_ID",
    "FIRST_VERSION",
    "HEAD_COLUMNS",
    "SCHEMA",
    "UPGRADES",
    "VERSION",
    "Head",
    "checksum",
    "share_of_sum",
]

VERSION = 5
FIRST_VERSION = 5
"""The oldest that is known: nothing was released with those before."""

APPLICATION_ID = 0x4D61_5361
"""Marks the database as ours, for `file` and for whoever finds it."""

UPGRADES: dict[int, Callable[[Connection], None]] = {}
"""By version, what makes a file of it one of the next; within the transaction that also writes `user_version`."""

SCHEMA = (
    "CREATE TABLE head(id INTEGER PRIMARY KEY, kind TEXT, identity BLOB, content TEXT, epoch INTEGER, "
    "sequence INTEGER, first INTEGER, pages INTEGER, sum INTEGER, crc INTEGER)",
    "CREATE TABLE journal(sequence INTEGER PRIMARY KEY, epoch INTEGER, crc INTEGER, bytes BLOB)",
    "CREATE TABLE page(key INTEGER PRIMARY KEY, sequence INTEGER, epoch INTEGER, crc INTEGER, bytes BLOB)",
)
"""The statements as SQLite keeps them: a file whose own differ by a letter is not one that we wrote."""

HEAD_COLUMNS = ("kind", "identity", "content", "epoch", "sequence", "first", "pages", "sum", "crc")

PLACE = struct.Struct("<4sqqq")
SHARE = struct.Struct("<qqqI")
COUNTS = struct.Struct("<qqqqqq")


def checksum(table: str, key: int, sequence: int, epoch: int, content: bytes) -> int:
    """CRC-32 of a row: its table, key, sequence, epoch and bytes. In the journal the key is the sequence.

    It finds every damage of up to 32 bits in a run; of any other, all but one in four thousand million.
    """
    return crc32(content, crc32(PLACE.pack(table[:4].encode(), key, sequence, epoch)))


def share_of_sum(key: int, sequence: int, epoch: int, crc: int) -> int:
    """What a page adds to the sum of all pages: 64 bits, signed. The sum is their XOR.

    A hash and not the CRC itself: CRCs are linear, and what two pages lose could cancel out.
    """
    digest = blake2b(SHARE.pack(key, sequence, epoch, crc), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True, slots=True)
class Head:
    """The row that knows the rest."""

    kind: str
    """What the file is: "shard 0", "ledger"."""
    identity: bytes
    """Of the state directory, 16 bytes."""
    content: dict[str, str]
    """What the owner wrote down at creation and must find again."""
    epoch: int = 0
    """Raised by one by each life, before it does anything else."""
    sequence: int = 0
    """Of the last commit; 0 before the first."""
    first: int = 1
    """The lowest sequence that the journal still has; `sequence + 1` when it has none."""
    pages: int = 0
    sum: int = 0

    def raised(self) -> Head:
        """The head of the next life."""
        return replace(self, epoch=self.epoch + 1)

    def row(self) -> tuple[object, ...]:
        """As stored, in the order of `HEAD_COLUMNS`."""
        return (self.kind, self.identity, self._content(), *self._counts(), self._checksum())

    @classmethod
    def of_row(cls, row: tuple[object, ...]) -> Head | None:
        """The head that a row says, or None where its checksum or a type says that it is damaged."""
        kind, identity, content, *counts, crc = row
        if not (isinstance(kind, bytes) and isinstance(identity, bytes) and isinstance(content, bytes)):
            return None
        try:
            head = cls(kind.decode(), identity, json.loads(content), *counts)  # type: ignore[arg-type]
            whole = all(type(count) is int for count in counts) and head.row()[-1] == crc
        except (ValueError, TypeError, struct.error):
            return None
        return head if whole else None

    def _content(self) -> str:
        return json.dumps(self.content, sort_keys=True)

    def _counts(self) -> tuple[int, ...]:
        return (self.epoch, self.sequence, self.first, self.pages, self.sum)

    def _checksum(self) -> int:
        crc = crc32(COUNTS.pack(VERSION, *self._counts()))
        for text in (self.kind.encode(), self.identity, self._content().encode()):
            crc = crc32(text, crc32(len(text).to_bytes(8, "little"), crc))
        return crc
