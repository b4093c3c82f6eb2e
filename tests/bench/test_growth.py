"""The curves at tiny sizes: a point for each x, its answers checked, and read from the file as they were written."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bench import batches, checkpoint, http_send, population
from bench.batches import Size
from bench.connection import JSON
from bench.engine_decisions import Decided, decide
from bench.figures import read_figures
from bench.growth import batch_sizes, curves, known, restart, shards, stall
from bench.growth.points import BatchSizePoint, KnownPoint, RestartPoint, ShardsPoint, StallPoint
from bench.machine import this_machine
from bench.open_loop import Answers
from bench.population import crowd, people, recipient_name, send_body
from bench.result import AnswersWrong
from bench.stream import END_OF_HEAD, Answer, Request
from tests.bench import test_http_batch
from tests.bench.test_replay_on_engine import InProcess

ENGINES: list[InProcess] = []


class Standing(test_http_batch.Standing):
    """In the place of a server that would have an address."""

    host, port = "", 0


class Engine(InProcess):
    """An engine of its own each, which singles find again; `mistakes` is put for a name in its answers."""

    mistakes = b""

    def __init__(self, *_: object) -> None:
        super().__init__()
        ENGINES.append(self)

    def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        answer = super().post(path, body, media_type)
        return answer.replace(b"customer-", self.mistakes, 1) if self.mistakes else answer

    def close(self) -> None:
        pass


def send_at_rate(host: str, port: int, requests: Sequence[Request], per_second: float) -> Answers:
    """As the real one, without its pace."""
    answers = Answers(elapsed_s=1.0)
    for place, request in enumerate(requests):
        body = ENGINES[-1].post("/send", b"".join(request).partition(END_OF_HEAD)[2])
        answers.add(Answer(place, 0.002 * place, b"http/1.1 200 ok", body))
    return answers


@pytest.fixture
def _no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines in process instead, and sizes for them."""
    monkeypatch.setattr(test_http_batch, "InProcess", Engine)
    monkeypatch.setattr(batches, "Load", test_http_batch.Load)
    monkeypatch.setattr(http_send, "Connection", Engine)
    monkeypatch.setattr(http_send, "send_at_rate", send_at_rate)
    for module in (shards, batch_sizes):
        monkeypatch.setattr(module, "Server", Standing)
    monkeypatch.setattr(shards, "SHARDS", (1, 4))
    monkeypatch.setattr(shards, "SIZE", Size(20, 2, 3))
    monkeypatch.setattr(shards, "SENDS_PER_S", 5)
    monkeypatch.setattr(batch_sizes, "SIZES", (Size(1, 3, 2), Size(20, 2, 2)))


@pytest.mark.usefixtures("_no_servers")
def test_a_point_for_each_number_of_shards() -> None:
    points = shards.shards_curve()
    assert [point.shards for point in points] == [1, 4]
    for point in points:
        low, high = point.decisions_per_s_range
        assert 0 < low <= point.decisions_per_s <= high
        assert point.batches == 6
        assert point.sends == 5 * shards.MEASURED_S
        assert point.send_longest_ms == 2 * (point.sends - 1)
        assert point.send_failures == 0


@pytest.mark.usefixtures("_no_servers")
def test_a_point_for_each_size_of_batches() -> None:
    points = batch_sizes.batch_sizes_curve()
    assert [(point.batch, point.requests) for point in points] == [(1, 6), (20, 4)]
    assert all(point.p50_ms == point.p99_ms == 1 for point in points), "the engine in process says so"


@pytest.mark.usefixtures("_no_servers")
@pytest.mark.parametrize("curve", [shards.shards_curve, batch_sizes.batch_sizes_curve])
def test_a_wrong_answer_is_no_point(curve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "mistakes", b"somebody-")
    with pytest.raises(AnswersWrong):
        curve()


@pytest.mark.usefixtures("_no_servers")
def test_money_that_runs_out_is_no_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(batches.CAMPAIGN_BODY, "budget", {"total": "0.02"})
    with pytest.raises(AnswersWrong, match="money ran out"):
        batch_sizes.batch_sizes_curve()


def test_a_point_of_people_known() -> None:
    point = known.known_point(60, batch=20)
    assert point.recipients == 60
    assert point.batches == 3 * known.REPEATS
    low, high = point.decisions_per_s_core_range
    assert 0 < low <= point.decisions_per_s_core <= high


def test_few_people_are_asked_more_often_and_many_not_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known.known_point(20, batch=20).batches == known.REPEATS_OF_FEW
    monkeypatch.setattr(known, "ASKED", 2)
    assert known.known_point(100, batch=20).batches == 2 * known.REPEATS


@pytest.mark.parametrize("day", [0, 1])
def test_a_wrong_answer_in_process_is_no_point(day: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(engine: Any, crowd: Sequence[bytes], today: int) -> Decided:
        decided = decide(engine, crowd, today)
        wrong = [raw.replace(b"customer-", b"somebody-", 1) for raw in decided.answers]
        return decided._replace(answers=wrong) if today == day else decided

    monkeypatch.setattr(known, "_warm_up", lambda engine, batch: None)
    monkeypatch.setattr(known, "decide", forgetful)
    with pytest.raises(AnswersWrong, match="in order"):
        known.known_point(40, batch=20)


def test_a_process_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "BATCH", 20)
    monkeypatch.setattr(known, "RECIPIENTS", (40,))
    (point,) = known.known_curve()
    assert (point.recipients, point.batches) == (40, 2 * known.REPEATS)
    monkeypatch.setattr(known, "RECIPIENTS", (0,))
    with pytest.raises(AnswersWrong, match="0 people in process: ZeroDivisionError"):
        known.known_curve()


def test_a_crowd_is_people_with_names_of_their_own() -> None:
    assert crowd(40, 20) == people(40, 20)
    later = msgspec.json.decode(crowd(1_230_040, 20))
    assert [person["id"] for person in later] == [recipient_name(number) for number in range(1_230_040, 1_230_060)]
    telephones = {person["contacts"]["sms"] for person in later if "sms" in person["contacts"]}
    assert len(telephones) > 1
    assert all(telephone.startswith("+1555123004") or telephone.startswith("+1555123005") for telephone in telephones)
    for person, model in zip(later, msgspec.json.decode(people(40, 20)), strict=True):
        assert person["contacts"]["email"] == f"{person['id']}@example.com"
        assert {**person, "id": "", "contacts": [*person["contacts"]]} == {
            **model,
            "id": "",
            "contacts": [*model["contacts"]],
        }
    with pytest.raises(AssertionError):
        crowd(population.PROFILES - 1, 2)


def test_a_server_learns_more_and_more_people_and_is_killed_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[tuple[int, int]] = []
    took = iter([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    monkeypatch.setattr(restart, "Server", Standing)
    monkeypatch.setattr(restart, "wait_for_spares", lambda _: None)
    monkeypatch.setattr(restart, "RECIPIENTS", (10, 30))
    monkeypatch.setattr(restart, "fill", lambda server, first, end, made: filled.append((first, end)))
    monkeypatch.setattr(restart, "seconds_after_kill", lambda *_: next(took))
    assert restart.restart_curve() == [
        RestartPoint(recipients=10, seconds=2.0, seconds_range=(1.0, 3.0), kills=3),
        RestartPoint(recipients=30, seconds=5.0, seconds_range=(4.0, 6.0), kills=3),
    ]
    assert filled == [(0, 10), (10, 30)]


@pytest.fixture
def _few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "BATCH", 20)
    monkeypatch.setattr(checkpoint, "WARM_UP", 5)
    monkeypatch.setattr(stall, "RECIPIENTS", (40, 60))
    monkeypatch.setattr(stall, "ROUNDS", (10, 15))


@pytest.mark.usefixtures("_few_wait")
def test_a_point_of_waits_beside_pages() -> None:
    points = stall.stall_curve()
    assert [(point.recipients, point.sends) for point in points] == [(40, 25), (60, 25)]
    for point in points:
        least, longest = point.longest_stall_ms_range
        assert 0 < point.p50_ms <= point.p99_ms <= point.longest_stall_ms == longest
        assert least <= longest
        assert point.pages > 0


@pytest.mark.usefixtures("_few_wait")
def test_a_wrong_answer_beside_pages_is_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "send_body", lambda campaign, number: send_body(campaign, number + 1))
    with pytest.raises(AnswersWrong, match="was answered with"):
        stall.stall_curve()


def test_what_is_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: dict[str, list[Any]] = {
        "shards": [
            ShardsPoint(
                shards=shards, decisions_per_s=5, decisions_per_s_range=(4, 6), batch_p50_ms=1.0, batch_p99_ms=2.0,
                batches=3, send_p50_ms=1.5, send_p99_ms=2.5, send_longest_ms=3.5, sends=7, send_failures=1,
            )
            for shards in (1, 2)
        ],
        "batch_sizes": [
            BatchSizePoint(
                batch=10, decisions_per_s=8, decisions_per_s_range=(7, 9), p50_ms=1.0, p99_ms=2.0, requests=3
            )
        ],
        "known": [
            KnownPoint(
                recipients=10_000, decisions_per_s_core=12_345, decisions_per_s_core_range=(1, 2),
                decisions_per_s_core_first_contact=3, batch_p50_ms=1.0, batch_p99_ms=2.0, batches=4,
                bytes_per_recipient=436,
            )
        ],
        "restart": [RestartPoint(recipients=10, seconds=0.5, seconds_range=(0.4, 0.6), kills=3)],
        "stall": [
            StallPoint(
                recipients=10, p50_ms=1.0, p99_ms=2.0, longest_stall_ms=3.0, longest_stall_ms_range=(2.0, 3.0),
                sends=9, pages=1,
            )
        ],
    }  # fmt: skip
    for name, module in {
        "shards": shards,
        "batch_sizes": batch_sizes,
        "known": known,
        "restart": restart,
        "stall": stall,
    }.items():
        monkeypatch.setattr(module, f"{name}_curve", lambda name=name: measured[name])
    result = curves.growth()
    assert [name for name, _ in result.rows] == ["shards", "batch size", "people known", "restart", "longest stall"]
    assert "12,345" in dict(result.rows)["people known"]
    read = read_figures(json.dumps({"machine": this_machine().as_dict(), "growth": result.as_dict()}).encode())
    assert {name: getattr(read.curves, name) for name in measured} == measured
    assert read.curves.methods.keys() == measured.keys()
    assert read.told == {}
