"""The outbox: each attempt once, on the disk when it is accepted, readable meanwhile, forgetful where it must be."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.adapters import outbox as outbox_module
from actors.adapters.adapter import Accepted, Content, Delivery
from actors.adapters.outbox import Outbox, read_outbox
from actors.client import AsyncOutreach
from actors.state_directory import outbox_path

ANA = "Ana Müller <script>"


def delivery(message: str, recipient: str = "ana", channel: str = "email") -> Delivery:
    return Delivery(
        message_id=message,
        attempt=0,
        channel=channel,
        recipient_id=recipient,
        campaign_id="c",
        address=f"{recipient}@example.com",
        content=Content("Hello", f"Hello {ANA}", None),
        data=b'{"name": "Ana"}',
        scheduled_at=1_772_442_000,
        unsubscribe_url=None,
    )


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


def contents(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.iterdir()]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    opened = Outbox(tmp_path / "outbox.db")
    yield opened
    await opened.close()


async def test_what_is_accepted_can_be_read_by_others(outbox: Outbox, tmp_path: Path) -> None:
    sent = await asyncio.gather(*(outbox.send(delivery(f"m-{number}"), yes) for number in range(500)))
    assert sent == [Accepted(f"m-{number}.0") for number in range(500)]
    rows = list(read_outbox(tmp_path / "outbox.db", 1000))
    assert sorted(row.message_id for row in rows) == sorted(f"m-{number}" for number in range(500))
    assert rows[0].number == 500
    assert (rows[0].address, rows[0].subject, rows[0].text) == ("ana@example.com", "Hello", f"Hello {ANA}")
    assert stat.S_IMODE((tmp_path / "outbox.db").stat().st_mode) == 0o600


async def test_an_attempt_stands_in_it_once(outbox: Outbox, tmp_path: Path) -> None:
    for _ in range(3):
        assert await outbox.send(delivery("m-1"), yes) == Accepted("m-1.0")
    assert await outbox.send(delivery("m-1")._replace(attempt=1), yes) == Accepted("m-1.1")
    assert len(list(read_outbox(tmp_path / "outbox.db", 10))) == 2


async def test_nothing_is_written_without_a_start(outbox: Outbox, tmp_path: Path) -> None:
    assert await outbox.send(delivery("m-1"), no) is None
    assert not (tmp_path / "outbox.db").exists()


async def test_of_one_channel_or_person(outbox: Outbox, tmp_path: Path) -> None:
    await outbox.send(delivery("m-1"), yes)
    await outbox.send(delivery("m-2", channel="sms"), yes)
    await outbox.send(delivery("m-3", recipient="eva"), yes)
    path = tmp_path / "outbox.db"
    assert [row.message_id for row in read_outbox(path, 10, channel="sms")] == ["m-2"]
    assert [row.message_id for row in read_outbox(path, 10, recipient_id="ana")] == ["m-2", "m-1"]
    assert [row.message_id for row in read_outbox(path, 1)] == ["m-3"]


async def test_an_erased_person_is_nowhere_in_the_file(outbox: Outbox, tmp_path: Path) -> None:
    assert not await outbox.forget("ana")
    await outbox.send(delivery("m-1", recipient="ana-erased"), yes)
    await outbox.send(delivery("m-2", recipient="eva"), yes)
    assert await outbox.forget("ana-erased")
    assert not await outbox.forget("ana-erased")
    assert [row.recipient_id for row in read_outbox(tmp_path / "outbox.db", 10)] == ["eva"]
    assert not any(b"ana-erased" in content for content in contents(tmp_path))


async def test_the_newest_are_kept(outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "ROWS_MAX", 25)
    monkeypatch.setattr(outbox_module, "TRIM_EVERY", 10)
    for number in range(60):
        await outbox.send(delivery(f"m-{number}"), yes)
    numbers = [row.number for row in read_outbox(tmp_path / "outbox.db", 100)]
    assert numbers == list(range(60, 60 - len(numbers), -1))
    assert 25 <= len(numbers) < 35


async def test_a_file_that_is_none_is_a_fault_and_not_an_accepted_message(outbox: Outbox, tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        await outbox.send(delivery("m-1"), yes)


async def test_an_erased_person_leaves_it_where_nothing_is_delivered_any_more(outreach: AsyncOutreach) -> None:
    before = Outbox(outbox_path(Path(outreach.settings.state_dir)))
    await before.send(delivery("m-1", recipient="delivered-to-before"), yes)
    await before.close()
    assert await outreach.erase("delivered-to-before")
    assert not await outreach.erase("delivered-to-before")
