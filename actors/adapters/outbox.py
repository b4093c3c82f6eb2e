"""Outbox: what would be sent, in a SQLite file that a person can read. The default of every channel.

The rules: an attempt stands in it once, however often it is made, so what may have been written is written again. A row
is on the disk before its message counts as accepted. It holds the newest million; what names an erased person goes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite

from actors.adapters.adapter import Accepted, Delivery, Outcome, Start
from actors.gather import Gatherer

__all__ = ["Outbox", "OutboxRow", "read_outbox"]

ROWS_MAX = 1_000_000
TRIM_EVERY = 10_000
"""Rows written, from one look at how many there are to the next."""

LOCK_TIMEOUT_S = 10.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    written_at INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    channel TEXT NOT NULL,
    campaign_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    recipient_id TEXT NOT NULL,
    address TEXT NOT NULL,
    subject TEXT, text TEXT, html TEXT,
    data TEXT,
    unsubscribe_url TEXT
);
CREATE INDEX IF NOT EXISTS outbox_recipient ON outbox (recipient_id);
"""

INSERT = (
    "INSERT OR IGNORE INTO outbox (key, written_at, scheduled_at, channel, campaign_id, message_id, recipient_id, "
    "address, subject, text, html, data, unsubscribe_url) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class OutboxRow(NamedTuple):
    """A message that would have been sent. Instants are seconds since the epoch, `written_at` by the system clock."""

    number: int
    written_at: int
    scheduled_at: int
    channel: str
    campaign_id: str
    message_id: str
    recipient_id: str
    address: str
    subject: str | None
    text: str | None
    html: str | None
    data: str | None
    """The request's `content`, JSON."""


class Outbox:
    """The adapter. One process writes, any may read meanwhile."""

    deduplicates = True

    def __init__(self, path: Path) -> None:
        """The file is made when it is needed first."""
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        """Of one transaction on the connection."""
        self._rows = Gatherer[Delivery, bool](self._write)
        self._untrimmed = 0

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        """Writes it down."""
        if not await start():
            return None
        await self._rows.ask(delivery)
        return Accepted(delivery.key)

    async def forget(self, recipient_id: str) -> bool:
        """Deletes what names a person; whether there was anything."""
        if self._connection is None and not await asyncio.to_thread(self._path.exists):
            return False
        connection = await self._open()
        async with self._turn:
            cursor = await connection.execute("DELETE FROM outbox WHERE recipient_id = ?", (recipient_id,))
            await connection.commit()
            await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # nothing of it is left in the log either
        return cursor.rowcount > 0

    async def close(self) -> None:
        """Lets go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _write(self, deliveries: list[Delivery]) -> list[bool]:
        connection, now = await self._open(), int(time.time())
        async with self._turn:
            try:
                await connection.executemany(INSERT, [_row(delivery, now) for delivery in deliveries])
                self._untrimmed += len(deliveries)
                if self._untrimmed >= TRIM_EVERY:
                    self._untrimmed = 0
                    await connection.execute(
                        "DELETE FROM outbox WHERE number <= (SELECT max(number) FROM outbox) - ?", (ROWS_MAX,)
                    )
                await connection.commit()
            except BaseException:
                await connection.rollback()
                raise
        return [True] * len(deliveries)

    async def _open(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._connection is None:
                await asyncio.to_thread(self._path.touch, 0o600)
                connection = await aiosqlite.connect(self._path, timeout=LOCK_TIMEOUT_S)
                try:
                    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                        await connection.execute(f"PRAGMA {pragma}")
                    await connection.executescript(SCHEMA)
                except sqlite3.Error:
                    await connection.close()
                    raise
                self._connection = connection
            return self._connection


def read_outbox(
    path: Path, limit: int, channel: str | None = None, recipient_id: str | None = None
) -> Iterator[OutboxRow]:
    """The newest rows first; of one channel or person where that is named. Raises `sqlite3.Error`."""
    conditions = {"channel": channel, "recipient_id": recipient_id}
    named = {name: value for name, value in conditions.items() if value is not None}
    where = " AND ".join(f"{name} = ?" for name in named) or "TRUE"
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_TIMEOUT_S)
    ) as connection:
        rows = connection.execute(
            f"SELECT {', '.join(OutboxRow._fields)} FROM outbox WHERE {where} ORDER BY number DESC LIMIT ?",
            (*named.values(), limit),
        )
        for row in rows:
            yield OutboxRow(*row)


def _row(delivery: Delivery, now: int) -> tuple[Any, ...]:
    return (
        delivery.key,
        now,
        delivery.scheduled_at,
        delivery.channel,
        delivery.campaign_id,
        delivery.message_id,
        delivery.recipient_id,
        delivery.address,
        *delivery.content,
        None if delivery.data is None else delivery.data.decode(),
        delivery.unsubscribe_url,
    )
