"""State files as a whole: made where there is none, and copied to be looked at.

A file is made under another name and gets its own when it is complete and on the disk, so that whatever bears the
name was once whole. It is never made where something tells that there was one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.state_database import PAGE_SIZE, verify_file
from actors.state_faults import LOCKED, RESTORE, faults_of
from actors.state_format import APPLICATION_ID, HEAD_COLUMNS, SCHEMA, VERSION, Head
from actors.witness import sync_directory, witness_path
from engine.errors import StateFault

__all__ = ["copy_state", "find_state", "wal_path"]

LOCK_PAUSE_S = 0.01

SQLITE_SHARED_FIRST = 0x4000_0002
SQLITE_SHARED_SIZE = 510
"""The bytes of a database on which SQLite's readers hold their lock, and its one writer the opposite one."""


def wal_path(path: Path) -> Path:
    """Of the write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


def find_state(path: Path, head: Head, create: bool, lock_timeout_s: float, *, any_identity: bool = False) -> None:
    """Makes the file where there is none and `create` says so, verifies one that is there, closes it to other users.

    It must have the identity of `head`, or with `any_identity` some.
    """
    with faults_of(path):
        if create:
            make_state(path, head, lock_timeout_s)
        elif not path.exists():
            raise StateFault(str(path), None, "it is missing", RESTORE)
        for one in (path, wal_path(path), witness_path(path)):  # SQLite gives the log the database's mode
            if one.exists() and stat.S_IMODE(one.stat().st_mode) & 0o077:
                one.chmod(0o600)
        verify_file(path, head.kind, None if any_identity else head.identity, lock_timeout_s)


def make_state(path: Path, head: Head, lock_timeout_s: float) -> None:
    """Makes a file without a commit, durably; leaves alone one that is there."""
    with faults_of(path), _held(path.parent, path, lock_timeout_s):
        if path.exists():
            return
        if _has_content(witness_path(path)) or wal_path(path).exists():
            raise StateFault(str(path), None, "it is missing, but what lies beside it (-wal, .last) is there", RESTORE)
        unfinished = path.with_name(path.name + ".new")
        for rest in ("", "-journal", "-wal"):
            unfinished.with_name(unfinished.name + rest).unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            _fill(connection, head)
        finally:
            connection.close()
        os.rename(unfinished, path)
        sync_directory(path.parent)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _fill(connection: sqlite3.Connection, head: Head) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    for statement in SCHEMA:
        connection.execute(statement)
    places = ", ".join("?" for _ in HEAD_COLUMNS)
    connection.execute(f"INSERT INTO head(id, {', '.join(HEAD_COLUMNS)}) VALUES (1, {places})", head.row())
    connection.execute("COMMIT")
    # Here and not in the first life: it is written with a rollback journal, which whoever only reads cannot roll back.
    connection.execute("PRAGMA journal_mode = WAL").fetchall()


def copy_state(path: Path, directory: Path, lock_timeout_s: float) -> Path:
    """Copies a database and its log, unless a process writes them. The copy's path.

    SQLite cannot read a file with a log that another life left without writing beside it, and `immutable` passes the
    log over. Never to be called in a process that has the file open: it would end that one's lock.
    """
    copy = directory / path.name
    with faults_of(path), open(path, "rb") as database:
        _wait_for(
            lambda: fcntl.lockf(database, fcntl.LOCK_SH | fcntl.LOCK_NB, SQLITE_SHARED_SIZE, SQLITE_SHARED_FIRST),
            path,
            lock_timeout_s,
        )
        shutil.copyfile(path, copy)
        if wal_path(path).exists():
            shutil.copyfile(wal_path(path), wal_path(copy))
    return copy


@contextmanager
def _held(directory: Path, path: Path, timeout_s: float) -> Iterator[None]:
    """Alone among those who would make files in a directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _wait_for(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB), path, timeout_s)
        yield
    finally:
        os.close(descriptor)


def _wait_for(take_lock: Callable[[], None], path: Path, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            return take_lock()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            if time.monotonic() >= give_up:
                raise StateFault(str(path), None, *LOCKED) from error
        time.sleep(LOCK_PAUSE_S)
