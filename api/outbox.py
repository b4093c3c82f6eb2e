"""`madan-sara outbox`: the outbox as a table that a person reads, or as JSON that a program reads."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.adapters.outbox import OutboxRow, read_outbox
from actors.state_directory import outbox_path
from engine.errors import ConfigurationError
from engine.scalars import Instant

__all__ = ["print_outbox"]

WIDTH_WITHOUT_TERMINAL = 160


def print_outbox(directory: Path, as_json: bool, limit: int, channel: str | None, recipient_id: str | None) -> None:
    """Prints up to `limit` rows, the newest first. Raises `ConfigurationError` where the file cannot be read."""
    path = outbox_path(directory)
    if not path.exists():
        if not directory.is_dir():
            raise ConfigurationError("state_dir", f"takes the directory of a server's state; {directory} is none")
        print("Nothing was sent to this outbox yet.", file=sys.stderr)
        return
    try:
        rows = list(read_outbox(path, limit, channel, recipient_id))
    except sqlite3.Error as error:
        raise ConfigurationError("state_dir", f"has an outbox that cannot be read; {path}: {error}") from None
    if as_json:
        for row in rows:
            print(msgspec.json.encode(_shown(row)).decode())
    else:
        console = Console()
        (console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)).print(_table(rows))


def _shown(row: OutboxRow) -> dict[str, object]:
    shown: dict[str, object] = row._asdict()
    for name in ("written_at", "scheduled_at"):
        shown[name] = Instant(getattr(row, name)).write()
    shown["data"] = None if row.data is None else msgspec.Raw(row.data.encode())
    return shown


def _table(rows: list[OutboxRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("scheduled", "channel", "campaign", "recipient", "to", "says"):
        table.add_column(column, no_wrap=column != "says", overflow="ellipsis")
    for row in rows:
        says = " – ".join(part for part in (row.subject, row.text or row.html) if part) or row.data or ""
        cells = (
            Instant(row.scheduled_at).write(),
            row.channel,
            row.campaign_id,
            row.recipient_id,
            row.address,
            " ".join(says.split()),
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table
