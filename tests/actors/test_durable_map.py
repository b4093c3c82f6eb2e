"""A dictionary in a file: what it holds after any history, and what that costs."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import durable_map
from actors.durable_map import DurableMap
from actors.state_file import StateFile
from engine.errors import StateFault, WriteFailed
from tests.actors.state_crashes import IDENTITY, files_in, put_files, quick_directory

NAME = "state.db"
KIND = "ledger"
PARTS = 4
"""Few, so that a short history rewrites them all."""


async def open_map(path: Path, parts: int = PARTS) -> tuple[StateFile, DurableMap]:
    file = await StateFile.open(path, KIND, IDENTITY)
    return file, await DurableMap.load(file, fail, parts=parts)


def fail(error: BaseException) -> None:
    raise AssertionError("a commit failed") from error


async def close(file: StateFile, entries: DurableMap) -> None:
    await entries.close()
    await file.close()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_map, "PAGE_ADVANCE_BYTES", 0)


# ---- any history ------------------------------------------------------------------------------------------

KEYS = st.sampled_from([f"key-{index}" for index in range(12)] + ["", "é", "\0"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=40)),
        st.tuples(st.just("delete"), KEYS, st.just(b"")),
        st.tuples(st.sampled_from(("commit", "reopen", "kill")), st.just(""), st.just(b"")),
    ),
    max_size=40,
)


async def live(directory: Path, steps: list[tuple[str, str, bytes]]) -> None:
    model: dict[str, bytes] = {}
    durable: dict[str, bytes] = {}
    file, entries = await open_map(directory / NAME)
    for step, key, value in [*steps, ("reopen", "", b"")]:
        match step:
            case "put":
                entries.put(key, value)
                model[key] = value
            case "delete":
                entries.delete(key)
                model.pop(key, None)
            case "commit":
                await entries.durable()
                durable = dict(model)
            case "reopen":
                await close(file, entries)
                file, entries = await open_map(directory / NAME)
                durable = dict(model)
            case "kill":
                files = files_in(directory)
                await close(file, entries)
                file, entries = await open_map(put_files(directory, files))
                model = dict(durable)
        assert dict(entries.items()) == model
        assert len(entries) == len(model)
        assert (entries.get(key), key in entries) == (model.get(key), key in model)
    await close(file, entries)


@pytest.mark.usefixtures("small_pages")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_it_is_a_dictionary_whatever_happens(steps: list[tuple[str, str, bytes]]) -> None:
    with quick_directory() as directory:
        asyncio.run(live(directory, steps))


# ---- rows and pages ---------------------------------------------------------------------------------------


async def test_pages_keep_the_journal_short_and_cost_no_more_than_it(tmp_path: Path) -> None:
    file, entries = await open_map(tmp_path / NAME)
    dice = random.Random(5)
    page_bytes, row_bytes, longest = 0, 0, 0
    for _ in range(600):
        for _ in range(dice.randint(1, 4)):
            entries.put(f"key-{dice.randrange(2_000)}", dice.randbytes(100))
        await entries.durable()
        longest = max(longest, file.sequence + 1 - file.first)
    page_bytes, row_bytes = entries._page_bytes, entries._row_bytes
    whole = sum(len(key) + len(value) for key, value in entries.items())
    await close(file, entries)
    assert page_bytes <= row_bytes + durable_map.PAGE_ADVANCE_BYTES + 2 * whole / PARTS
    assert longest < 600
    assert longest * row_bytes / 600 < 2 * whole + durable_map.PAGE_ADVANCE_BYTES


async def test_what_is_changed_at_once_is_committed_at_once(tmp_path: Path) -> None:
    file, entries = await open_map(tmp_path / NAME)
    for index in range(100):
        entries.put(f"key-{index}", b"value")
    entries.delete("key-7")
    entries.delete("none")
    await entries.durable()
    assert file.sequence == 1
    await close(file, entries)
    inspected = await StateFile.inspect(tmp_path / NAME, KIND, IDENTITY)
    read = await DurableMap.read(inspected, parts=PARTS)
    assert dict(read.items()) == {f"key-{index}": b"value" for index in range(100) if index != 7}
    with pytest.raises(AssertionError, match="only read"):
        read.put("key", b"value")
    await inspected.close()


async def test_a_text_that_is_none_changes_nothing(tmp_path: Path) -> None:
    file, entries = await open_map(tmp_path / NAME)
    with pytest.raises(UnicodeEncodeError):
        entries.put("\ud800", b"value")
    await entries.durable()
    assert (file.sequence, len(entries)) == (0, 0)
    await close(file, entries)


async def test_a_commit_that_fails_is_told_once_and_never_durable(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    file = await StateFile.open(tmp_path / NAME, KIND, IDENTITY)
    entries = await DurableMap.load(file, failures.append)
    (tmp_path / NAME).rename(tmp_path / "moved.db")
    entries.put("key", b"value")
    for _ in range(2):
        with pytest.raises(WriteFailed):
            await entries.durable()
    assert len(failures) == 1
    await file.close()


@pytest.mark.parametrize(
    ("row", "pages", "what"),
    [
        (b"\xc1", [], "it cannot be read"),
        (msgspec.msgpack.encode({"key": 1}), [], "it cannot be read"),
        (b"\x80", [(0, b"\xc1")], "it cannot be read"),
        (b"\x80", [(0, msgspec.msgpack.encode([8, {}]))], "one of 8 parts, and this program makes 4"),
    ],
)
async def test_a_file_of_another_make_is_refused(
    tmp_path: Path, row: bytes, pages: list[tuple[int, bytes]], what: str
) -> None:
    file = await StateFile.open(tmp_path / NAME, KIND, IDENTITY)
    await DurableMap.read(file)
    await file.commit(1, row, pages, 1)
    await file.close()
    file = await StateFile.open(tmp_path / NAME, KIND, IDENTITY)
    with pytest.raises(StateFault, match=what):
        await DurableMap.load(file, fail, parts=PARTS)
    await file.close()
