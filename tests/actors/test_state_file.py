"""State files: what a life finds, what is refused and in which words."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from actors import state_database, state_format
from actors.state_file import StateFile
from engine._core import ANSWER_LAYOUT
from engine.errors import MadanSaraError, StateFault
from tests.actors.state_crashes import (
    IDENTITY,
    KIND,
    NAME,
    content_after,
    files_in,
    go_on,
    make_file,
    put_files,
    read_content,
)

NEXT = state_format.VERSION + 1
"""The format of a version that is not there yet."""
SEED = 7
COMMITS = 30


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return await make_file(tmp_path / NAME, SEED, COMMITS)


async def left_open(path: Path) -> Path:
    """Makes the file what a kill leaves: three more commits, in the log only."""
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    await go_on(file, SEED, 3)
    files = files_in(path.parent)
    await file.close()
    return put_files(path.parent, files)


async def fault_of_opening(path: Path, **options: object) -> StateFault:
    """The fault with which it is refused, by a life and by an inspection alike; it is not changed."""
    before = files_in(path.parent)
    with pytest.raises(StateFault) as refused:  # noqa: PT012
        file = await StateFile.open(path, KIND, IDENTITY, lock_timeout_s=0.05, create=False, **options)  # type: ignore[arg-type]
        await file.close()  # its thread would outlive a failure
    with pytest.raises(StateFault) as inspected:  # noqa: PT012
        file = await StateFile.inspect(path, KIND, IDENTITY, lock_timeout_s=0.05)
        await file.close()
    assert (inspected.value.row, inspected.value.what) == (refused.value.row, refused.value.what)
    after = files_in(path.parent)
    assert {name: after.get(name) for name in before} == before
    assert str(path) in str(refused.value) or str(path) + ".last" in str(refused.value)
    return refused.value


def alter(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


# ---- lives ------------------------------------------------------------------------------------------------


async def test_what_was_committed_is_there_in_the_next_life(path: Path) -> None:
    for epoch in (2, 3):
        file = await StateFile.open(path, KIND, IDENTITY)
        assert (file.epoch, file.sequence, file.content) == (epoch, COMMITS, {"shards": "4"})
        content = await read_content(file)
        assert content == content_after(SEED, COMMITS)
        assert (min(content[1]), max(content[1])) == (file.first, COMMITS)
        await file.close()


async def test_the_rows_end_where_all_pages_are_newer(path: Path) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    pages, _ = await read_content(file)
    await file.commit(COMMITS + 1, b"row", [(0, b"page")], COMMITS + 2)
    await file.close()
    file = await StateFile.open(path, KIND, IDENTITY)
    assert await read_content(file) == (pages | {0: (COMMITS + 1, b"page")}, {})
    assert (file.first, file.sequence) == (COMMITS + 2, COMMITS + 1)
    await file.close()


async def test_a_file_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StateFault, match="it is missing"):
        await StateFile.open(tmp_path / NAME, KIND, IDENTITY, create=False)
    assert files_in(tmp_path) == {}


async def test_a_file_half_made_is_made_anew(tmp_path: Path) -> None:
    for rest in ("", "-journal", "-wal"):
        (tmp_path / (NAME + ".new" + rest)).write_bytes(b"half")
    file = await StateFile.open(tmp_path / NAME, KIND, IDENTITY)
    assert (file.epoch, await read_content(file)) == (1, ({}, {}))
    await file.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [NAME, NAME + ".last"]


async def test_only_its_user_reads_it(path: Path) -> None:
    os.chmod(path, 0o644)
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    await go_on(file, SEED, 1)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    await file.close()
    assert modes == {NAME: 0o600, NAME + "-wal": 0o600, NAME + ".last": 0o600}


async def test_inspecting_shows_what_a_kill_left_and_changes_nothing(path: Path) -> None:
    await left_open(path)
    before = {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in path.parent.iterdir()}
    file = await StateFile.inspect(path, KIND, IDENTITY)
    assert (file.epoch, file.sequence) == (2, COMMITS + 3)
    assert await read_content(file) == content_after(SEED, COMMITS + 3)
    await file.close()
    assert {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in path.parent.iterdir()} == before


async def test_the_log_is_brought_into_the_database_between_commits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_database, "CHECKPOINT_BYTES", 100_000)
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    checkpoints = 0
    for _ in range(60):
        await go_on(file, SEED, 1)
        checkpoints += file._checkpoint is not None
    size = (path.parent / (NAME + "-wal")).stat().st_size
    await file.close()
    assert checkpoints > 5
    assert size < 1_000_000
    file = await StateFile.open(path, KIND, IDENTITY)
    assert await read_content(file) == content_after(SEED, COMMITS + 60)
    await file.close()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", b"wal"), ("synchronous", 2), ("locking_mode", b"exclusive"), ("wal_autocheckpoint", 0)],
)
async def test_what_makes_a_commit_durable_is_set(path: Path, pragma: str, value: object) -> None:
    file = await StateFile.open(path, KIND, IDENTITY)
    found = await file._connection.run(lambda: file._connection.raw.execute(f"PRAGMA {pragma}").fetchone())
    await file.close()  # before a failure: the file's thread would outlive it
    assert found == (value,)


# ---- what is refused --------------------------------------------------------------------------------------


async def test_a_newer_format_is_refused_in_words(path: Path) -> None:
    alter(path, f"PRAGMA user_version = {NEXT}")
    fault = await fault_of_opening(path)
    said = f"a newer version of Madan Sara wrote it: its format is {NEXT}, and this one knows up to {NEXT - 1}"
    assert said in str(fault)
    assert isinstance(fault, MadanSaraError)


async def test_the_format_before_the_first_release_is_refused_in_words(path: Path) -> None:
    first = state_format.FIRST_VERSION
    alter(path, f"PRAGMA user_version = {first - 1}")
    fault = await fault_of_opening(path)
    said = f"an older version of Madan Sara wrote it: its format is {first - 1}, and this one knows from {first} on"
    assert said in str(fault)
    assert "Start the older version again" in str(fault)


def test_answers_are_kept_as_the_columns_that_they_travel_in() -> None:
    """Who adds a column, or changes one, raises the format's version, and pins both here again."""
    digest = hashlib.sha256(repr(ANSWER_LAYOUT).encode()).hexdigest()
    assert (state_format.VERSION, digest[:16]) == (5, "4130aa1bf6e30f2e")


async def test_an_older_format_is_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[tuple[object, ...]] = []

    def upgrade(connection: sqlite3.Connection) -> None:
        """What changes from this version to the next is the head's checksum, which is over the version."""
        head = state_format.Head(KIND, IDENTITY, {"shards": "4"}, *rows[0])  # type: ignore[arg-type]
        connection.execute("UPDATE head SET crc = ?", (head.row()[-1],))

    connection = sqlite3.connect(path)
    rows += connection.execute("SELECT epoch, sequence, first, pages, sum FROM head").fetchall()
    connection.close()
    for module in (state_format, state_database):
        monkeypatch.setattr(module, "VERSION", NEXT)
    monkeypatch.setitem(state_format.UPGRADES, NEXT - 1, upgrade)
    for how in (StateFile.inspect, StateFile.open):
        file = await how(path, KIND, IDENTITY)
        assert await read_content(file) == content_after(SEED, COMMITS)
        await file.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (NEXT,)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "row", "what"),
    [
        ("UPDATE journal SET bytes = x'00' WHERE sequence = 29", "journal 29", "checksum"),
        ("UPDATE journal SET bytes = NULL WHERE sequence = 29", "journal 29", "checksum"),
        ("UPDATE journal SET epoch = 2 WHERE sequence = 29", "journal 29", "checksum"),
        ("DELETE FROM journal WHERE sequence = 29", "journal 29", "the row is missing: the next one is 30"),
        ("DELETE FROM journal WHERE sequence = 30", "journal 30", "the row is missing: there is none"),
        ("UPDATE journal SET sequence = 31 WHERE sequence = 30", "journal 31", "checksum"),
        ("UPDATE page SET bytes = 'text' WHERE key = 3", "page 3", "checksum"),
        ("UPDATE page SET key = 300 WHERE key = 3", "page 300", "checksum"),
        ("UPDATE page SET sequence = sequence - 1 WHERE key = 3", "page 3", "checksum"),
        ("DELETE FROM page WHERE key = 3", "the pages", "11 pages are there of 12"),
        ("UPDATE head SET sequence = sequence + 1", "the head row", "damaged"),
        ("UPDATE head SET content = x'ff'", "the head row", "damaged"),
        ("UPDATE head SET kind = NULL", "the head row", "damaged"),
        ("DELETE FROM head", "the head row", "damaged"),
        ("CREATE TABLE more(a)", "the schema", "not those of a state file"),
        ("PRAGMA user_version = 0", None, "no state file"),
        ("PRAGMA journal_mode = DELETE", "the database's header", "it does not say that there is a log"),
    ],
)
async def test_an_altered_row_is_named(path: Path, statement: str, row: str | None, what: str) -> None:
    alter(path, statement)
    fault = await fault_of_opening(path)
    assert fault.row == row
    assert what in fault.what


async def test_a_page_of_an_earlier_commit_is_found_though_it_is_whole(path: Path) -> None:
    older = path.parent / "older.db"
    older.write_bytes(path.read_bytes())
    file = await StateFile.open(path, KIND, IDENTITY)
    await read_content(file)
    await file.commit(COMMITS + 1, b"row", [(3, b"newer")], 1)
    await file.close()
    alter(path, f"ATTACH '{older}' AS older", "REPLACE INTO page SELECT * FROM older.page WHERE key = 3")
    older.unlink()
    assert "one is older than the last" in (await fault_of_opening(path)).what


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "no state file"), (b"no database" * 1000, "it is not a database"), (b"SQLite format 3\0", "not a database")],
)
async def test_another_kind_of_file_is_refused(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    assert what in (await fault_of_opening(path)).what


async def test_a_file_cut_short_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100_000])
    assert "damaged" in (await fault_of_opening(path)).what


async def test_a_file_of_another_kind_or_directory_is_refused(path: Path) -> None:
    (path.parent / (NAME + ".last")).unlink()
    for kind, identity, what in (("ledger", IDENTITY, "that of shard 0, not of ledger"), (KIND, bytes(16), "another")):
        with pytest.raises(StateFault, match=what):
            await StateFile.open(path, kind, identity)


# ---- the witness ------------------------------------------------------------------------------------------


async def test_commits_that_the_log_lost_are_missed(path: Path) -> None:
    await left_open(path)
    log = path.parent / (NAME + "-wal")
    changed = bytearray(log.read_bytes())
    changed[len(changed) // 2] ^= 1
    log.write_bytes(changed)
    fault = await fault_of_opening(path)
    assert "commits that were acknowledged are missing" in fault.what
    assert f"delete {NAME}.last" in fault.remedy


async def test_a_person_may_go_on_without_the_commits_that_are_missing(path: Path) -> None:
    await left_open(path)
    (path.parent / (NAME + "-wal")).unlink()
    assert (await fault_of_opening(path)).row == f"journal {COMMITS + 3}"
    (path.parent / (NAME + ".last")).unlink()
    file = await StateFile.open(path, KIND, IDENTITY)
    assert await read_content(file) == content_after(SEED, COMMITS)
    await file.close()


async def test_a_database_put_back_without_the_rest_is_refused(path: Path) -> None:
    older = path.read_bytes()
    await left_open(path)
    for name in (NAME, NAME + "-wal"):
        (path.parent / name).unlink()
    with pytest.raises(StateFault, match="it is missing, but what lies beside it"):
        await StateFile.open(path, KIND, IDENTITY)
    path.write_bytes(older)
    assert "missing" in (await fault_of_opening(path)).what


async def test_a_damaged_witness_is_refused_and_an_empty_one_says_nothing(path: Path) -> None:
    witness = path.parent / (NAME + ".last")
    witness.write_bytes(witness.read_bytes()[::-1])
    assert "damaged" in (await fault_of_opening(path)).what
    witness.write_bytes(b"")
    file = await StateFile.open(path, KIND, IDENTITY)
    assert await read_content(file) == content_after(SEED, COMMITS)
    await file.close()
