"""Where the replay's messages land: in the outbox of the server and, with it, on the households' mail server."""

from __future__ import annotations

import sqlite3
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from actors.adapters.outbox import read_outbox
from bench.contacts import household_number
from bench.mailboxes import Mailboxes

ROWS_MAX = 1_000_000


class Arrival(NamedTuple):
    """A message that landed: on which channel, for whom, the instant that it gives itself, and the clock when it was
    found."""

    message_id: str
    channel: str
    household: int
    at: int
    found_at: int


class Landings:
    """The outbox in a state directory, and the mail server if mail does not go there."""

    def __init__(self, outbox: Path, mailboxes: Mailboxes | None = None) -> None:
        self._outbox = outbox
        self._mailboxes = mailboxes
        self._last = 0

    def take(self, now: int) -> tuple[list[Arrival], list[int]]:
        """What has landed since the last call, and the household of each mail that was refused."""
        landed = [Arrival(*row, found_at=now) for row in self._rows()]
        if self._mailboxes is None:
            return landed, []
        mail, refused = self._mailboxes.take_mail()
        return [*landed, *(Arrival(one.message_id, "email", one.household, one.date, now) for one in mail)], refused

    def _rows(self) -> list[tuple[str, str, int, int]]:
        try:
            rows = list(takewhile(lambda row: row.number > self._last, read_outbox(self._outbox, ROWS_MAX)))
        except sqlite3.OperationalError:
            return []  # nothing was written yet; what cannot be read has not arrived
        self._last = rows[0].number if rows else self._last
        return [
            (row.message_id, row.channel, household_number(row.recipient_id), row.scheduled_at)
            for row in reversed(rows)
        ]
