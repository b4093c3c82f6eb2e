"""The batch benchmark and its echo, without servers: the same bodies to both, in turn, and the ratio of the two."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Self

import pytest
from litestar.testing import TestClient

from bench import http_batch_json
from bench.connection import PREFIX, Connection
from bench.peers import echo_run
from bench.peers.echo import create_echo
from bench.result import AnswersWrong
from tests.bench.test_replay_on_engine import InProcess

ASKED: list[tuple[str, list[bytes]]] = []


class Standing:
    """In the place of a server: there is none."""

    def __init__(self, *_: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Echo(Standing):
    """In the place of an echo's process."""


class Echoed(Connection):
    """The echo at the other end of a connection that is none; `forgets` who it answered last."""

    forgets = False

    def __init__(self) -> None:
        self._client = TestClient(create_echo())

    def post(self, path: str, body: bytes) -> bytes:
        answer = self._client.post(PREFIX + path, content=body).content
        return answer.replace(b"customer-", b"somebody-", 1) if self.forgets else answer


class Load(Standing):
    """One after the other."""

    def __init__(self, *servers: Any) -> None:
        self._name = "echo" if isinstance(servers[0], Echo) else "product"
        self.first: Connection = Echoed() if self._name == "echo" else InProcess()

    def send(self, bodies: Sequence[bytes]) -> tuple[float, list[bytes]]:
        """Answers as the real one does."""
        ASKED.append((self._name, list(bodies)))
        began = perf_counter()
        answers = [self.first.post("/send-batch", body) for body in bodies]
        return perf_counter() - began, answers


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    for name, value in {"BATCH": 20, "BATCHES": 2, "REPEATS": 2, "SCARCE_MESSAGES": 5, "Server": Standing}.items():
        monkeypatch.setattr(http_batch_json, name, value)
    monkeypatch.setattr(http_batch_json, "Load", Load)
    monkeypatch.setattr(echo_run, "Load", Load)
    monkeypatch.setattr(echo_run, "EchoServer", Echo)


def test_the_echo_gets_what_the_product_got_in_turn() -> None:
    figures = http_batch_json.http_batch_json().as_dict()
    assert [name for name, _ in ASKED] == ["product", "echo"] * 4
    bodies = [asked for _, asked in ASKED]
    assert bodies[::2] == bodies[1::2]
    ratio = figures["ratio_to_echo"]
    assert isinstance(ratio, float)
    assert ratio == pytest.approx(figures["decisions_per_s"] / figures["echo_per_s"], rel=0.01, abs=0.001)  # type: ignore[operator]


def test_an_echo_that_answers_wrongly_is_no_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echoed, "forgets", True)
    with pytest.raises(AnswersWrong):
        http_batch_json.http_batch_json()
