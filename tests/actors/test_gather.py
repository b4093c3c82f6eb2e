"""Gathering: what comes while a call runs goes next, in one call."""

from __future__ import annotations

import asyncio

import pytest

from actors.gather import PARTS_MAX, WAITING_MAX, Gatherer
from actors.standing import Part
from engine.errors import MadanSaraError, Overloaded, ShardUnavailable, UnknownCampaign


class Recorder:
    """A shard whose calls end when the test says so."""

    def __init__(self) -> None:
        self.calls: list[list[Part]] = []
        self.may_answer = asyncio.Event()

    async def __call__(self, parts: list[Part]) -> list[bytes | MadanSaraError]:
        self.calls.append(parts)
        await self.may_answer.wait()
        return [UnknownCampaign(name) if name == "unknown" else b"answer to " + part for name, part in parts]


async def let_others_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_part_goes_at_once_and_a_crowd_shares_the_next_call() -> None:
    shard = Recorder()
    gatherer = Gatherer(shard)
    first = asyncio.create_task(gatherer.ask(("c", b"0")))
    await let_others_run()
    assert shard.calls == [[("c", b"0")]]
    others = [asyncio.create_task(gatherer.ask(("c", b"%d" % index))) for index in range(1, PARTS_MAX + 3)]
    await let_others_run()
    assert len(shard.calls) == 1
    shard.may_answer.set()
    assert await asyncio.gather(first, *others) == [b"answer to %d" % index for index in range(PARTS_MAX + 3)]
    assert [len(call) for call in shard.calls] == [1, PARTS_MAX, 2]


async def test_an_error_is_that_of_its_part_alone() -> None:
    shard = Recorder()
    shard.may_answer.set()
    gatherer = Gatherer(shard)
    answers = await asyncio.gather(
        *(gatherer.ask((name, b"1")) for name in ["c", "unknown", "c"]), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [bytes, UnknownCampaign, bytes]


async def test_a_failed_call_fails_its_parts_and_the_next_call_goes_on() -> None:
    calls = 0

    async def fail_once(parts: list[Part]) -> list[bytes | MadanSaraError]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ShardUnavailable("down")
        return [b"up"] * len(parts)

    gatherer = Gatherer(fail_once)
    with pytest.raises(ShardUnavailable):
        await gatherer.ask(("c", b""))
    assert await gatherer.ask(("c", b"")) == b"up"


async def test_a_queue_that_is_full_refuses() -> None:
    shard = Recorder()
    gatherer = Gatherer(shard)
    first = asyncio.create_task(gatherer.ask(("c", b"")))
    await let_others_run()
    waiting = [asyncio.create_task(gatherer.ask(("c", b""))) for _ in range(WAITING_MAX)]
    await let_others_run()
    with pytest.raises(Overloaded):
        await gatherer.ask(("c", b""))
    shard.may_answer.set()
    assert len(await asyncio.gather(first, *waiting)) == WAITING_MAX + 1


async def test_who_gives_up_waiting_disturbs_nobody() -> None:
    shard = Recorder()
    gatherer = Gatherer(shard)
    tasks = [asyncio.create_task(gatherer.ask(("c", b"%d" % index))) for index in range(3)]
    await let_others_run()
    for task in tasks[:2]:
        task.cancel()
    shard.may_answer.set()
    assert await tasks[2] == b"answer to 2"
    assert await gatherer.ask(("c", b"3")) == b"answer to 3"


async def test_after_a_call_that_nobody_waits_for_there_is_a_pause() -> None:
    shard = Recorder()
    shard.may_answer.set()
    hasty, patient = Gatherer(shard), Gatherer(shard, pause_s=3600)
    assert await patient.ask(("c", b"0")) == b"answer to 0"
    later = asyncio.create_task(patient.ask(("c", b"1")))
    await let_others_run()
    assert shard.calls == [[("c", b"0")]]
    assert await hasty.ask(("c", b"2")) == b"answer to 2"
    later.cancel()
