"""The overload, on a product that refuses by a rule: what is counted, and that no fault of the product passes."""

from __future__ import annotations

import pytest

from bench import overload as benchmark
from bench import overload_run
from bench.closed_loop import send_for
from bench.open_loop import post_request, send_at
from bench.overload_asks import Asks, Batches, Sends
from bench.overload_run import overload_with
from bench.result import AnswersWrong
from tests.bench.overloaded import Product
from tests.bench.test_open_loop import server

SMALL = {
    "ROUNDS": 1, "WARM_UP_S": 0.05, "CAPACITY_S": 0.1, "OVERLOAD_S": 0.1, "CALM_S": 0.1, "REPEATED": 20,
    "Server": Product,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(overload_run, name, value)
    for kind in (Sends, Batches):
        monkeypatch.setattr(kind, "fastest_per_s", 500)
        monkeypatch.setattr(kind, "connections", 8)
        monkeypatch.setattr(kind, "in_flight", 4)


@pytest.mark.parametrize("asks", [Sends(), Batches(5, 4)], ids=["sends", "batches"])
def test_what_is_refused_is_counted_leaves_no_trace_and_is_answered_later(asks: Asks) -> None:
    overloaded = overload_with(asks)
    (one,) = overloaded.rounds
    assert overloaded.failures == []
    assert one.offered == len(one.answered_s) + len(one.refused_s)
    assert one.answered_s
    assert one.refused_s
    assert 0 < overloaded.repeated <= 20
    assert 0 < overloaded.scheduled <= overloaded.decisions


@pytest.mark.parametrize(
    ("fault", "says"),
    [("503", "503 "), ("does not say when", "429 "), ("breaks off", "the connection ended")],
)
def test_what_is_neither_answered_nor_refused_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, fault: str, says: str
) -> None:
    monkeypatch.setattr(Product, "fault", fault)
    run = overload_run.Run
    monkeypatch.setattr(run, "_repeat", lambda self: None)
    overloaded = overload_with(Sends())
    assert overloaded.failures
    assert all(failure.startswith(says) for failure in overloaded.failures)


def test_who_is_refused_again_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Product, "fault", "refuses again")
    assert any("refused again" in failure for failure in overload_with(Sends()).failures)


@pytest.mark.parametrize("fault", ["decides what it refuses", "answers for another"])
@pytest.mark.parametrize("asks", [Sends(), Batches(5, 4)], ids=["sends", "batches"])
def test_a_wrong_answer_gives_no_figure(monkeypatch: pytest.MonkeyPatch, asks: Asks, fault: str) -> None:
    monkeypatch.setattr(Product, "fault", fault)
    with pytest.raises(AnswersWrong):
        overload_with(asks)


def test_a_server_that_refuses_nobody_was_not_overloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Product, "_refuse", lambda self, path, body: (200, [], self._decided(path, body)))
    with pytest.raises(AnswersWrong, match="no overload"):
        overload_with(Sends())


def test_the_target_asks_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "GROUPS", 4)
    monkeypatch.setattr(benchmark, "BATCH", 5)
    told = benchmark.overload().figures["sends"]
    assert isinstance(told, dict)
    good = {**told, "goodput_ratio": 0.9, "answered_max_ms": 1.0, "refused_max_ms": 1.0, "recovered_s": 0.0}
    assert benchmark._is_reached(good)
    for name, value in (
        ("goodput_ratio", 0.69),
        ("answered_max_ms", 2_001.0),
        ("refused_max_ms", 2_001.0),
        ("recovered_s", 1.1),
        ("failures", 1),
    ):
        assert not benchmark._is_reached({**good, name: value})


def test_a_closed_loop_ends_with_its_requests_and_answers_each() -> None:
    with server() as (host, port):
        bodies = [str(index).encode() for index in range(20)]
        answers = send_for(host, port, [post_request("/", host, body) for body in bodies], 3, 60)
    assert sorted(answers.bodies) == sorted(bodies)


def test_a_closed_loop_ends_in_time() -> None:
    with server() as (host, port):
        answers = send_for(host, port, [post_request("/", host, b"x")] * 100_000, 3, 0.05)
    assert 0 < len(answers) < 100_000


def test_requests_are_sent_at_their_instants() -> None:
    due = [0.0, 0.0, 0.05, 0.2]
    with server() as (host, port):
        answers = send_at(host, port, [post_request("/", host, b"x", b"y")] * 4, due, connections=1)
    assert sorted(answer.position for answer in answers.successes) == [0, 1, 2, 3]
    assert answers.elapsed_s >= due[-1]
    assert answers.bodies == [b"xy"] * 4
