"""What the operating system and SQLite say of a state file, in words for the person who must do something about it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import StateFault

__all__ = ["LOCKED", "RESTORE", "fault_of", "faults_of"]

RESTORE = "Put the file and what lies beside it (-wal, .last) back from one backup; nothing in them was changed"

LOCKED = (
    "another process uses it",
    "Wait for that process to end, or end it; two engines cannot share a state directory",
)

MEANINGS = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_CORRUPT: ("the database is damaged", RESTORE),
    sqlite3.SQLITE_NOTADB: ("it is not a database, or its beginning is damaged", RESTORE),
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room on the disk; nothing was lost"),
    sqlite3.SQLITE_READONLY: ("it may not be written", "Let the engine's user write the file and its directory"),
    sqlite3.SQLITE_PERM: ("it may not be opened", "Let the engine's user read and write the file and its directory"),
    sqlite3.SQLITE_AUTH: ("it may not be opened", "Let the engine's user read and write the file and its directory"),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "Let the engine's user read and write the file and its directory; look whether the disk is there and has room",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk does not read or write it",
        "Look whether the disk has room, and at the system's log",
    ),
    sqlite3.SQLITE_NOMEM: ("there is no memory left", "Give the process more memory"),
}
"""By SQLite's result code: what is wrong, and what to do."""


def fault_of(error: sqlite3.Error | OSError | UnicodeDecodeError, path: Path) -> StateFault:
    """The fault that an error of SQLite or the system means. A text that cannot be read is damage."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        what, remedy = MEANINGS[sqlite3.SQLITE_FULL]
        return StateFault(str(path), None, f"{what} ({error.strerror})", remedy)
    if isinstance(error, OSError):
        what, remedy = f"the system says: {error.strerror}", "Look at the disk, the file's owner and its mode"
        return StateFault(str(path), None, what, remedy)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    what, remedy = MEANINGS.get(code & 0xFF, ("the database is not as it was made", RESTORE))
    return StateFault(str(path), None, f"{what} ({error})", remedy)


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Whatever SQLite or the system raises within is raised as a `StateFault` of this file."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: SQLite quotes what is damaged
        raise fault_of(error, path) from error
