"""The ledger's file: whose it is, when it is refused, and what happens when it cannot be written."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import msgspec
import pytest

from actors import ledger_actor
from actors.client import _answers
from actors.durable_map import DurableMap
from actors.ledger import Ledger
from actors.ledger_actor import LedgerActor
from actors.ledger_file import KIND, LedgerFile
from actors.standing import Demand
from actors.state_directory import ledger_path, make_directory, shard_path, shards_with_files
from actors.state_file import StateFile
from engine.config import default_settings
from engine.errors import ConfigurationError, Fenced, ShardUnavailable, StateFault, WriteFailed
from tests.actors.test_recalls import make_campaign
from tests.actors.threaded import Start, ThreadShard, fail


async def refusal(directory: Path, shards: int = 2, **options: object) -> StateFault:
    with pytest.raises(StateFault) as raised:
        await LedgerFile.open(directory, shards, fail, lock_timeout_s=0.05, **options)  # type: ignore[arg-type]
    assert raised.value.file == str(ledger_path(directory))
    return raised.value


async def test_a_directory_keeps_its_identity_and_its_secret(tmp_path: Path) -> None:
    found = []
    for name in ("one", "one", "other"):
        make_directory(tmp_path / name)
        file = await LedgerFile.open(tmp_path / name, 2, fail)
        found.append((file.identity, file.secret))
        await file.close()
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])
    assert {len(part) for pair in found for part in pair} == {16}
    assert ledger_path(tmp_path / "one").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700


async def test_a_directory_of_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    await (await LedgerFile.open(tmp_path, 2, fail)).close()
    fault = await refusal(tmp_path, shards=3)
    assert fault.what == "it is one of 2 shards, and it is opened with 3"
    assert "--shards 2" in fault.remedy
    await (await LedgerFile.open(tmp_path, 2, fail)).close()


async def test_a_ledger_that_is_missing_is_not_made_where_there_was_one(tmp_path: Path) -> None:
    assert "missing" in (await refusal(tmp_path, create=False)).what
    shard_path(tmp_path, 1).touch()
    assert shards_with_files(tmp_path) == ["shard-1.sqlite"]
    assert "missing" in (await refusal(tmp_path)).what
    assert not ledger_path(tmp_path).exists()


async def test_a_directory_that_is_in_use_is_refused(tmp_path: Path) -> None:
    file = await LedgerFile.open(tmp_path, 2, fail)
    assert "another process uses it" in (await refusal(tmp_path)).what
    await file.close()


async def test_an_entry_that_this_program_does_not_know_is_refused(tmp_path: Path) -> None:
    """And nothing is written, nor does a commit fail over it."""
    file = await StateFile.open(ledger_path(tmp_path), KIND, None, content={"shards": "2"})
    entries = await DurableMap.load(file, fail)
    entries.put("surprise", b"")
    await entries.close()
    await file.close()
    fault = await refusal(tmp_path)
    assert (fault.row, "kind 'surprise'" in fault.what) == ("entry 'surprise'", True)


def test_a_directory_that_cannot_be_made_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="state_dir"):
        make_directory(tmp_path / "file" / "below")


@pytest.mark.parametrize("error", [WriteFailed("ledger.sqlite", "the disk is full"), Fenced("ledger.sqlite", "life 2")])
async def test_what_cannot_be_written_is_not_answered_and_ends_the_process(start: Start, error: WriteFailed) -> None:
    ledger, _ = await start(*[ThreadShard] * 2)
    await ledger.put_campaign(make_campaign("c", {"budget": {"total": "1"}}))
    failures: list[BaseException] = []
    assert ledger._file._entries._commits is not None
    ledger._file._entries._commits._on_failure = failures.append

    async def commit(*_: object) -> None:
        raise error

    ledger._file._file.commit = commit  # type: ignore[method-assign]
    ledger.close = ledger._file._file.close  # type: ignore[method-assign] # there is nothing to write any more
    ledger.audit = lambda: asyncio.sleep(0, [])  # type: ignore[method-assign, assignment, misc, return-value]
    for sequence in (1, 2):
        with pytest.raises(type(error)):
            await ledger.acquire(Demand(0, 1, sequence, 1, "c", {}, {(0, 0): 5}, sequence))
    with pytest.raises(type(error)):
        await ledger.spent("c")
    assert failures == [error]


# ---- the actor, without Ray -------------------------------------------------------------------------------


@pytest.fixture
async def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerActor:
    monkeypatch.setattr(ledger_actor, "is_restarted", lambda: False)
    monkeypatch.setattr(ledger_actor, "RETRY_PAUSE_S", 0.0)
    return LedgerActor(msgspec.structs.replace(default_settings(), shards=2, state_dir=str(tmp_path / "state")))


async def test_a_fault_is_answered_in_words_until_it_is_gone(actor: LedgerActor, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(StateFault, match=r"ledger\.sqlite"):
            await actor.ping()
        with pytest.raises(ShardUnavailable, match=r"The ledger cannot start\. .*ledger\.sqlite"):
            await actor.now()
    assert (await actor.settings()).shards == 2
    assert not await _answers(actor.ping())
    make_directory(tmp_path / "state")
    assert await _answers(actor.ping())
    assert await actor.now() == 0
    await actor.close()
    with pytest.raises(ShardUnavailable, match="told to end"):
        await actor.now()


async def test_a_ledger_that_was_restarted_makes_no_file(
    actor: LedgerActor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_actor, "is_restarted", lambda: True)
    with pytest.raises(StateFault):
        await actor.ping()
    make_directory(tmp_path / "state")
    with pytest.raises(StateFault, match="missing"):
        await actor.ping()


def test_the_actor_does_all_that_the_ledger_does() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        """By name the parameters, without those that Ray adds once it has made an actor of a class."""
        members = inspect.getmembers(kind, inspect.iscoroutinefunction)
        signatures = {name: inspect.signature(member) for name, member in members if not name.startswith("_")}
        return {name: [one for one in signatures[name].parameters if not one.startswith("_ray")] for name in signatures}

    assert methods(Ledger).items() <= methods(LedgerActor).items()
