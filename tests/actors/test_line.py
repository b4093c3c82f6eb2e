"""A line: what goes over it is what Ray would have carried, and what does not arrive is never taken for an answer."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import ray

import actors.line
import actors.line_caller
from actors.answers import ActorUnreachable, NoAnswerInTime
from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.line import Line
from actors.line_caller import IDLE_MAX, LineCaller
from actors.line_frames import (
    HEAD,
    WELCOME,
    clock_of,
    decided,
    frame,
    outcomes_as_bytes,
    outcomes_of,
    parts_as_bytes,
)
from actors.standing import Part
from engine.errors import Conflict, MadanSaraError, ShardUnavailable
from tests.actors.requests import make_recipient, put, send, send_batch

pytestmark = pytest.mark.usefixtures("cluster")  # a caller asks Ray which node it is on

TIMEOUT_S = 30.0
SOON_S = 0.2


class Shard:
    """Behind a line: echoes parts, and does what some campaign ids say."""

    def __init__(self) -> None:
        self.calls: list[list[Part]] = []
        self.called = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.line = Line(partial(decided, self.decide))
        self.asked = 0

    def decide(self, parts: list[Part]) -> list[bytes | MadanSaraError]:
        self.calls.append(parts)
        self.called.release()
        match parts[0][0]:
            case "refused":
                raise ShardUnavailable("It starts.")
            case "broken":
                raise KeyError("secret")
            case "slow":
                assert self.may_answer.wait(TIMEOUT_S)
        return [Conflict("no") if name == "conflict" else columns for name, columns in parts]

    async def ask_line(self) -> tuple[str, str] | None:
        self.asked += 1
        return ray.get_runtime_context().get_node_id(), self.line.name


async def decide(caller: LineCaller, parts: list[Part]) -> list[bytes | MadanSaraError] | None:
    return await caller.ask(parts_as_bytes(parts), outcomes_of)


@asynccontextmanager
async def caller_of(shard: Shard, timeout_s: float = TIMEOUT_S) -> AsyncIterator[LineCaller]:
    caller = LineCaller("shard-0", shard.ask_line, timeout_s)
    try:
        yield caller
    finally:
        shard.may_answer.set()
        caller.close()
        await asyncio.sleep(0)
        shard.line.close()


SIZES = [0, 1, 3, 4096, 3_000_000]


async def test_parts_of_all_sizes_come_back_in_order_over_one_connection() -> None:
    shard = Shard()
    async with caller_of(shard) as caller:
        for size in SIZES:
            parts = [("c", bytes([size % 251]) * size), ("é", b"2")]
            assert await decide(caller, parts) == [columns for _, columns in parts]
            assert shard.calls[-1] == parts
        assert shard.asked == 1


async def test_an_error_stands_for_its_part_or_for_all_of_a_call() -> None:
    shard = Shard()
    async with caller_of(shard) as caller:
        outcomes = await decide(caller, [("c", b"1"), ("conflict", b"2")])
        assert outcomes is not None
        assert (outcomes[0], type(outcomes[1]), str(outcomes[1])) == (b"1", Conflict, "no")
        refused = await decide(caller, [("refused", b"1"), ("c", b"2")])
        assert refused is not None
        assert [(type(one), str(one)) for one in refused] == [(ShardUnavailable, "It starts.")] * 2
        (broken,) = await decide(caller, [("broken", b"1")]) or [b""]
        assert isinstance(broken, MadanSaraError)
        assert (broken.status, str(broken)) == (500, "A fault of the server: KeyError.")


async def test_calls_at_once_have_a_connection_each_and_keep_them() -> None:
    shard = Shard()
    shard.may_answer.clear()
    async with caller_of(shard) as caller:
        slow = [asyncio.create_task(decide(caller, [("slow", bytes([number]))])) for number in range(5)]
        for _ in slow:
            await asyncio.to_thread(shard.called.acquire)
        assert await decide(caller, [("c", b"quick")]) == [b"quick"]
        shard.may_answer.set()
        assert await asyncio.gather(*slow) == [[bytes([number])] for number in range(5)]
        idle = set(caller._idle)
        await asyncio.gather(*(decide(caller, [("c", b"1")]) for _ in idle))
        assert set(caller._idle) == idle


async def test_a_late_answer_is_nobodys() -> None:
    shard = Shard()
    shard.may_answer.clear()
    async with caller_of(shard, SOON_S) as caller:
        with pytest.raises(NoAnswerInTime, match=r"shard-0 did not answer within 0\.2 s"):
            await decide(caller, [("slow", b"late")])
        shard.may_answer.set()
        assert await decide(caller, [("c", b"mine")]) == [b"mine"]
        cancelled = asyncio.create_task(decide(caller, [("c", b"cancelled")]))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await decide(caller, [("c", b"mine")]) == [b"mine"]


class Dies:
    """Takes calls and ends their connections without an answer, or in the middle of one."""

    def __init__(self, last_words: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(f"\0madan-sara-test-{os.urandom(8).hex()}")
        self.socket.listen()
        self._last_words = last_words
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(WELCOME)
                connection.recv(1)
                connection.sendall(self._last_words)


@pytest.mark.parametrize(
    "last_words", [b"", b"\0", HEAD.pack(100), b"".join(frame(outcomes_as_bytes([b"answer"])))[:-1]], ids=repr
)
async def test_a_shard_that_dies_answers_nothing_and_is_asked_where_it_is_then(last_words: bytes) -> None:
    dies, shard = Dies(last_words), Shard()
    names = [dies.socket.getsockname().decode(), shard.line.name]

    async def ask_line() -> tuple[str, str]:
        return ray.get_runtime_context().get_node_id(), names.pop(0)

    caller = LineCaller("shard-0", ask_line, TIMEOUT_S)
    with pytest.raises(ActorUnreachable, match="starting again"):
        await decide(caller, [("c", b"1")])
    assert await decide(caller, [("c", b"1")]) == [b"1"]
    caller.close()
    dies.socket.close()
    shard.line.close()
    await asyncio.sleep(0)


async def test_an_idle_connection_whose_shard_has_gone_is_not_used() -> None:
    shard = Shard()
    async with caller_of(shard) as caller:
        assert await decide(caller, [("c", b"1")]) == [b"1"]
        (connection,) = caller._idle
        connection._transport.abort()
        await asyncio.sleep(0.01)
        assert await decide(caller, [("c", b"2")]) == [b"2"]


async def test_without_a_line_nothing_is_asked() -> None:
    shard = Shard()
    asked = 0

    async def elsewhere() -> tuple[str, str]:
        nonlocal asked
        asked += 1
        return "another node", shard.line.name

    async def nowhere() -> None:
        nonlocal asked
        asked += 1

    for ask in (elsewhere, nowhere):
        caller, asked = LineCaller("shard-0", ask, TIMEOUT_S), 0
        assert await decide(caller, [("c", b"1")]) is None
        assert await decide(caller, [("c", b"1")]) is None
        assert asked == 1, "an actor stays where it is"
    gone = Shard()
    gone.line.close()
    async with caller_of(gone) as caller:
        assert await decide(caller, [("c", b"1")]) is None
        assert await decide(caller, [("c", b"1")]) is None
        assert gone.asked == 2, "it may begin again"
    assert not shard.calls
    shard.line.close()


async def test_who_is_not_welcome_goes_by_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.line, "CONNECTIONS_MAX", 1)
    shard = Shard()
    shard.may_answer.clear()
    async with caller_of(shard) as caller:
        slow = asyncio.create_task(decide(caller, [("slow", b"1")]))
        await asyncio.to_thread(shard.called.acquire)
        assert await decide(caller, [("c", b"2")]) is None
        shard.may_answer.set()
        assert await slow == [b"1"]
    for module in (actors.line, actors.line_caller):
        with monkeypatch.context() as other_user:
            other_user.setattr(module, "is_ours", lambda _: False)
            shard = Shard()
            async with caller_of(shard) as caller:
                assert await decide(caller, [("c", b"1")]) is None
            assert not shard.calls


async def test_a_shard_that_cannot_serve_more_is_not_asked_to_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard()
    with monkeypatch.context() as full:
        full.setattr(actors.line, "is_ours", lambda _: False)
        async with caller_of(shard) as caller:
            assert [await decide(caller, [("c", b"1")]) for _ in range(3)] == [None] * 3
            assert shard.asked == 1
    again = Shard()
    async with caller_of(again) as caller:
        caller._not_before = asyncio.get_running_loop().time() - 1
        assert await decide(caller, [("c", b"1")]) == [b"1"]


async def test_few_connections_stay_open_and_a_line_that_ends_takes_no_more() -> None:
    shard = Shard()
    shard.may_answer.clear()
    async with caller_of(shard) as caller:
        crowd = [asyncio.create_task(decide(caller, [("slow", b"1")])) for _ in range(IDLE_MAX + 3)]
        for _ in crowd:
            await asyncio.to_thread(shard.called.acquire)
        shard.may_answer.set()
        assert await asyncio.gather(*crowd) == [[b"1"]] * len(crowd)
        assert len(caller._idle) == IDLE_MAX
        shard.line.close()
        shard.line.close()
        shard.line._thread.join(TIMEOUT_S)
        assert not shard.line._thread.is_alive()
        with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
            late.connect(shard.line.name)


async def test_a_shard_that_does_not_welcome_in_time_did_not_answer() -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0madan-sara-test-{os.urandom(8).hex()}")
    listener.listen()

    async def ask_line() -> tuple[str, str]:
        return ray.get_runtime_context().get_node_id(), listener.getsockname().decode()

    caller = LineCaller("shard-0", ask_line, SOON_S)
    with pytest.raises(NoAnswerInTime):
        await decide(caller, [("c", b"1")])
    caller.close()
    listener.close()
    await asyncio.sleep(0)


async def test_what_is_no_call_ends_its_connection_alone() -> None:
    shard = Shard()
    async with caller_of(shard) as caller:
        stranger = socket.socket(socket.AF_UNIX)
        stranger.connect(shard.line.name)
        stranger.settimeout(TIMEOUT_S)
        assert stranger.recv(16) == WELCOME
        stranger.sendall(b"".join(frame(b"\xc1")))
        assert stranger.recv(16) == b""
        stranger.close()
        assert await decide(caller, [("c", b"1")]) == [b"1"]
    assert len(shard.calls) == 1


async def test_an_answer_that_is_none_ends_its_connection_alone() -> None:
    shard = Shard()
    async with caller_of(shard) as caller:
        with pytest.raises(ActorUnreachable, match="starting again"):
            await caller.ask(parts_as_bytes([("c", b"1")]), clock_of)
        assert await decide(caller, [("c", b"1")]) == [b"1"]


async def test_a_caller_that_is_no_more_leaves_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    shard = Shard()
    caller = LineCaller("shard-0", shard.ask_line, TIMEOUT_S)
    assert await decide(caller, [("c", b"1")]) == [b"1"]
    opened = caller._opened
    (connection,) = opened
    del caller
    await asyncio.to_thread(gc.collect)
    while not connection.is_closed:  # noqa: ASYNC110 - set by the loop's next round
        await asyncio.sleep(0)
    shard.line.close()
    assert not caplog.records


def test_a_caller_that_nobody_closed_ends_with_its_loop(caplog: pytest.LogCaptureFixture) -> None:
    shard = Shard()
    caller = LineCaller("shard-0", shard.ask_line, TIMEOUT_S)
    assert asyncio.run(decide(caller, [("c", b"1")])) == [b"1"]
    assert all(connection.is_closed for connection in caller._opened)
    shard.line.close()
    del caller
    gc.collect()
    assert not caplog.records


async def test_a_closed_caller_opens_nothing() -> None:
    shard = Shard()
    caller = LineCaller("shard-0", shard.ask_line, TIMEOUT_S)
    connecting = asyncio.create_task(decide(caller, [("c", b"1")]))
    while not caller._opened:  # noqa: ASYNC110 - set within the call
        await asyncio.sleep(0)
    caller.close()
    assert await connecting is None
    assert await decide(caller, [("c", b"1")]) is None
    assert all(connection.is_closed for connection in caller._opened)
    shard.line.close()


async def test_the_real_shards_decide_the_same_either_way(cluster: Cluster, outreach: AsyncOutreach) -> None:
    by_ray = AsyncOutreach(cluster.ledger, cluster.shards, cluster.settings)
    await put(outreach, "lined", urgency="high")
    people = [make_recipient(f"lined-{index}") for index in range(50)]
    first = await send_batch(outreach, "lined", people)
    second = await send_batch(by_ray, "lined", people)
    assert first["counts"]["scheduled"] == 50
    assert second["reasons"] == {"duplicate": 50}
    assert (await send(outreach, "lined", people[0]))["reason"] == "duplicate"
    assert (await send(by_ray, "lined", people[0]))["reason"] == "duplicate"
    assert all(line._opened for line in outreach._lines)
