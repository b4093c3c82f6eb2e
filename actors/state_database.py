"""The database of one state file, as its one thread sees it: every rule of `state_file`, and nothing asynchronous.

A POSIX lock, which SQLite's is, ends when *any* descriptor of the file is closed in the process. So nothing here ever
opens the database but SQLite, and nobody else may in a process that has it open.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Literal

from actors.state_faults import RESTORE, fault_of, faults_of
from actors.state_format import (
    FIRST_VERSION,
    HEAD_COLUMNS,
    SCHEMA,
    UPGRADES,
    VERSION,
    Head,
    checksum,
    share_of_sum,
)
from actors.witness import Witness
from engine.errors import Fenced, StateFault, WriteFailed

__all__ = ["PAGE_SIZE", "Row", "StateDatabase", "connect", "verify_file"]

PAGE_SIZE = 8192
"""Measured with rows of 1 KiB and of 300 KiB: 4,096 makes 144 commits a second of the large ones, 8,192 and 16,384
both 180; 16,384 makes a quarter fewer of the small ones than 8,192."""

CHECKPOINT_BYTES = 1 << 20
"""Committed since the last checkpoint for the next one to come. It takes 1.3 ms, the longest 9 ms, and 20 ms after
batches of 10,000: a commit that arrives meanwhile waits that long. With 2 MiB single sends waited up to 37 ms."""

GUARDS = (
    # A damaged page is reported and not read as something else.
    "cell_size_check = ON",
    # Nothing but a damaged schema could call a function.
    "trusted_schema = OFF",
)

WRITING = (
    # Before the first access: then the index of the log is kept in this process, and no -shm file beside it.
    "locking_mode = EXCLUSIVE",
    # A commit is one append to the log, not a rewrite of pages in place.
    "journal_mode = WAL",
    # Each commit is on the disk when it returns. NORMAL would sync at checkpoints only.
    "synchronous = FULL",
    # SQLite would checkpoint within a commit, whose reply waits; `StateFile.commit` has it done between two.
    "wal_autocheckpoint = 0",
    # After a commit of many megabytes the log shrinks again.
    f"journal_size_limit = {8 * CHECKPOINT_BYTES}",
    # Debian's default zeroes what is deleted, in the log too: a third fewer commits of large rows.
    "secure_delete = FAST",
)

TABLES = {
    "page": "SELECT key, sequence, epoch, crc, bytes FROM page ORDER BY key",
    "journal": "SELECT sequence, sequence, epoch, crc, bytes FROM journal ORDER BY sequence",
}

Row = tuple[int, int, bytes]
"""Key, sequence, bytes."""


def connect(path: Path, mode: Literal["ro", "rw"], lock_timeout_s: float) -> sqlite3.Connection:
    """A connection to a database that is there. Transactions are begun and ended by us alone."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=lock_timeout_s, isolation_level=None)
    connection.text_factory = bytes  # a damaged text must not raise before its checksum is looked at
    return connection


def verify_file(path: Path, kind: str, identity: bytes | None, lock_timeout_s: float) -> None:
    """Reads everything in a file that another life left, and changes nothing in it, nor in its log.

    A connection that could write would, when it closes, bring a damaged log's beginning into the database.
    """
    connection = connect(path, "ro", lock_timeout_s)
    try:
        StateDatabase(connection, path, kind, identity).verify()
    finally:
        connection.close()
        path.with_name(path.name + "-shm").unlink(missing_ok=True)  # a reader's index of the log, which it leaves


class StateDatabase:
    """See `StateFile`. `path` is where the file is known, which the connection may have a copy of."""

    def __init__(self, connection: sqlite3.Connection, path: Path, kind: str, identity: bytes | None) -> None:
        """`identity`: of the state directory; None takes it from the file."""
        self._connection = connection
        self._path = path
        self._kind = kind
        self._identity = identity
        self._place = (0, 0)
        self._shares: dict[int, int] = {}
        self._unread = set(TABLES)
        self._bytes_since_checkpoint = 0
        self.head = Head(kind, identity or b"", {})
        self._witness = Witness(path, kind, self.head.identity)

    # ---- opening ----------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Reads everything and changes nothing. Of an older version, only that its pages are in their places."""
        with faults_of(self._path):
            self._execute_pragmas(GUARDS)
            self._connection.execute("BEGIN")
            if self._check_version() == VERSION:
                self._check_schema()
                self._check_structure()
                self._check_head()
                for table in TABLES:
                    for _ in self.read(table):
                        pass
            else:
                self._check_structure()
            self._connection.execute("COMMIT")

    def upgrade(self) -> None:
        """Makes a file of an older version one of this version, one version at a time."""
        with faults_of(self._path):
            for version in range(self._check_version(), VERSION):
                self._connection.execute("BEGIN IMMEDIATE")
                UPGRADES[version](self._connection)
                self._connection.execute(f"PRAGMA user_version = {version + 1}")
                self._connection.execute("COMMIT")

    def begin_life(self) -> None:
        """Takes the lock and raises the epoch, durably. The file must have been verified."""
        with faults_of(self._path):
            self._execute_pragmas(GUARDS + WRITING)
            self._connection.execute("BEGIN IMMEDIATE")  # takes the lock, which stays
            self._connection.execute("COMMIT")
            self.upgrade()
            self._check_head()
            raised = self.head.raised()
            self._connection.execute("BEGIN IMMEDIATE")
            self._replace_head(raised)
            self._connection.execute("COMMIT")
            self.head = raised
            self._place = place_of(self._path)
            self._witness.begin(raised.epoch, raised.sequence)

    def _execute_pragmas(self, pragmas: Sequence[str]) -> None:
        for pragma in pragmas:
            self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def _check_version(self) -> int:
        version = self._one("PRAGMA user_version")
        assert isinstance(version, int)
        if version > VERSION:
            raise self._fault(
                None,
                f"a newer version of Madan Sara wrote it: its format is {version}, and this one knows up to {VERSION}",
                "Start the newer version again; nothing was changed",
            )
        if 0 < version < FIRST_VERSION:
            raise self._fault(
                None,
                f"an older version of Madan Sara wrote it: its format is {version}, and this one knows from "
                f"{FIRST_VERSION} on",
                "Start the older version again; nothing was changed",
            )
        if version < FIRST_VERSION:
            raise self._fault(None, "it is no state file, or was cut short", RESTORE)
        return version

    def _check_schema(self) -> None:
        schema = self._connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
        if schema != [(statement.encode(),) for statement in SCHEMA]:
            raise self._fault("the schema", "its tables are not those of a state file", RESTORE)

    def _check_structure(self) -> None:
        """That the log counts, and every page of the database is in its place and in one only: 0.07 s for 256 MB."""
        if self._one("PRAGMA journal_mode") != b"wal":
            raise self._fault("the database's header", "it does not say that there is a log (-wal)", RESTORE)
        verdict = self._one("PRAGMA quick_check(1)")
        if verdict != b"ok":
            raise self._fault(None, f"the database is damaged ({verdict!r})", RESTORE)

    def _check_head(self) -> None:
        rows = self._connection.execute(f"SELECT {', '.join(HEAD_COLUMNS)} FROM head").fetchall()
        head = Head.of_row(rows[0]) if len(rows) == 1 else None
        if head is None:
            raise self._fault("the head row", "it is damaged", RESTORE)
        elsewhere = "Put each file back to where it was; nothing was changed"
        if head.kind != self._kind:
            raise self._fault("the head row", f"the file is that of {head.kind}, not of {self._kind}", elsewhere)
        if self._identity is None:
            self._identity = head.identity
            self._witness = Witness(self._path, self._kind, head.identity)
        if head.identity != self._identity:
            raise self._fault("the head row", "the file belongs to another state directory", elsewhere)
        word = self._witness.read()
        if word is not None and word > (head.epoch, head.sequence):
            raise self._fault(
                f"journal {word[1]}",
                f"it ends at {head.sequence} of life {head.epoch}, but {self._witness.path.name} has seen "
                f"{word[1]} of life {word[0]} written: commits that were acknowledged are missing",
                f"{RESTORE}. To go on without them, delete {self._witness.path.name}",
            )
        self.head = head

    # ---- reading ----------------------------------------------------------------------------------------

    def read(self, table: str) -> Iterator[Row]:
        """All rows of a table in order, each verified, and at the end that none is missing. Once, before a commit."""
        with faults_of(self._path):
            count, total, expected = 0, 0, self.head.first
            shares: dict[int, int] = {}
            for row in self._connection.execute(TABLES[table]):
                key, sequence, epoch, crc, content = self._verified(table, row)
                if table == "journal" and key != expected + count:
                    raise self._missing(expected + count, key)
                if table == "page":
                    shares[key] = share_of_sum(key, sequence, epoch, crc)
                    total ^= shares[key]
                count += 1
                yield key, sequence, content
            if table == "journal" and count != self.head.sequence + 1 - self.head.first:
                raise self._missing(expected + count, None)
            if table == "page":
                if (count, total) != (self.head.pages, self.head.sum):
                    what = (
                        f"{count} pages are there of {self.head.pages}, or one is older than the last that was written"
                    )
                    raise self._fault("the pages", what, RESTORE)
                self._shares = shares
            self._unread.discard(table)

    def _verified(self, table: str, row: tuple[object, ...]) -> tuple[int, int, int, int, bytes]:
        key, sequence, epoch, crc, content = row
        if not (
            isinstance(key, int)
            and isinstance(sequence, int)
            and isinstance(epoch, int)
            and isinstance(crc, int)
            and isinstance(content, bytes)
            and checksum(table, key, sequence, epoch, content) == crc
            and sequence <= self.head.sequence
            and epoch <= self.head.epoch
        ):
            raise self._fault(f"{table} {key}", "the row is damaged: its checksum is wrong", RESTORE)
        return key, sequence, epoch, crc, content

    def _missing(self, expected: int, found: int | None) -> StateFault:
        next_one = "there is none" if found is None else f"the next one is {found}"
        what = f"the row is missing: {next_one}, and the journal goes from {self.head.first} to {self.head.sequence}"
        return self._fault(f"journal {expected}", what, RESTORE)

    # ---- writing ----------------------------------------------------------------------------------------

    def commit(self, sequence: int, row: bytes, pages: Sequence[tuple[int, bytes]], keep_from: int) -> None:
        """One transaction, durable on return."""
        head = self.head
        assert not self._unread, f"{self._unread} of {self._path} must be read before the first commit"
        assert sequence == head.sequence + 1, f"commit {sequence} after {head.sequence}"
        assert keep_from <= sequence + 1, f"commit {sequence} would delete rows to come, up to {keep_from}"
        epoch = head.epoch
        images = [(key, sequence, epoch, checksum("page", key, sequence, epoch, page), page) for key, page in pages]
        shares = {key: share_of_sum(key, sequence, epoch, crc) for key, _, _, crc, _ in images}
        after = replace(
            head,
            sequence=sequence,
            first=max(head.first, keep_from),
            pages=head.pages + len(shares.keys() - self._shares.keys()),
            sum=reduce(xor, (self._shares.get(key, 0) ^ share for key, share in shares.items()), head.sum),
        )
        try:
            self._check_place()
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT INTO journal VALUES (?, ?, ?, ?)",
                (sequence, epoch, checksum("journal", sequence, sequence, epoch, row), row),
            )
            self._connection.executemany("REPLACE INTO page VALUES (?, ?, ?, ?, ?)", images)
            self._delete_rows(head.first, after.first)
            self._replace_head(after)
            self._connection.execute("COMMIT")
            self._witness.write(epoch, sequence)
        except (sqlite3.Error, OSError) as error:
            raise self._failure(f"commit {sequence}", error) from error
        self.head = after
        self._shares.update(shares)
        self._bytes_since_checkpoint += len(row) + sum(len(page) for _, page in pages) + 4 * PAGE_SIZE

    def _delete_rows(self, first: int, keep_from: int) -> None:
        if keep_from > first:
            deleted = self._connection.execute("DELETE FROM journal WHERE sequence < ?", (keep_from,)).rowcount
            if deleted != keep_from - first:
                raise WriteFailed(str(self._path), f"{deleted} rows were there to delete from {first} to {keep_from}")

    def _replace_head(self, head: Head) -> None:
        """Where the epoch is still that of this life."""
        assignments = ", ".join(f"{column} = ?" for column in HEAD_COLUMNS)
        updated = self._connection.execute(
            f"UPDATE head SET {assignments} WHERE id = 1 AND epoch = ?", (*head.row(), self.head.epoch)
        )
        if updated.rowcount != 1:
            self._connection.execute("ROLLBACK")
            raise Fenced(str(self._path), f"a later life than {self.head.epoch} writes it")

    def _check_place(self) -> None:
        """That no later life has begun and that the file is still the one that a next life will open."""
        epoch = self._witness.epoch()
        if epoch > self.head.epoch:
            raise Fenced(str(self._path), f"life {epoch} writes it; this is life {self.head.epoch}")
        if place_of(self._path) != self._place:
            raise Fenced(str(self._path), "another file was put in its place")

    def checkpoint_is_due(self) -> bool:
        """Whether enough has been committed since the last one."""
        return self._bytes_since_checkpoint >= CHECKPOINT_BYTES

    def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"]) -> None:
        """Brings the log into the database. It is then written from its start again, or cut to nothing."""
        try:
            busy, in_log, in_database = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            self._witness.sync()
        except (sqlite3.Error, OSError) as error:
            raise self._failure("a checkpoint", error) from error
        if busy or in_log != in_database:
            raise WriteFailed(str(self._path), "a checkpoint failed: another connection is in the way")
        self._bytes_since_checkpoint = 0

    def close(self) -> None:
        """Lets go of the witness; the connection is closed by whoever made it."""
        self._witness.close()

    # ---- inside -----------------------------------------------------------------------------------------

    def _one(self, query: str) -> object:
        return self._connection.execute(query).fetchone()[0]

    def _failure(self, doing: str, error: sqlite3.Error | OSError) -> WriteFailed:
        return WriteFailed(str(self._path), f"{doing} failed: {fault_of(error, self._path).what}")

    def _fault(self, row: str | None, what: str, remedy: str) -> StateFault:
        return StateFault(str(self._path), row, what, remedy)


def place_of(path: Path) -> tuple[int, int]:
    """Device and inode: which file a path stands for now."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
