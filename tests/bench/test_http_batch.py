"""The batch benchmark and its echo, without servers: the same people to both, in turn, and the ratio of the two."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Self

import msgspec
import pytest
from litestar.testing import TestClient

from bench import batches, http_batch
from bench.answers import check_batch, micros
from bench.batch_form import ARROW, Ask
from bench.batch_form import JSON as JSON_FORM
from bench.batches import CAMPAIGN, CAMPAIGN_BODY, FIRST_DAY
from bench.connection import JSON, PREFIX, Connection
from bench.load import Sent
from bench.peers import echo_run
from bench.peers.echo import create_echo
from bench.result import AnswersWrong
from engine import Engine
from engine.form import Form
from tests.bench.test_replay_on_engine import InProcess

ASKED: list[tuple[str, list[Any]]] = []


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
        self.seconds = 0.0
        self._client = TestClient(create_echo())

    def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        answer = self._client.post(PREFIX + path, content=body).content
        return answer.replace(b"customer-", b"somebody-", 1) if self.forgets else answer


class Load(Standing):
    """One after the other."""

    def __init__(self, *servers: Any) -> None:
        self._name = "echo" if isinstance(servers[0], Echo) else "product"
        self.first: Connection = Echoed() if self._name == "echo" else InProcess()

    def send(self, asks: Sequence[Ask]) -> Sent:
        """Answers as the real one does."""
        ASKED.append((self._name, [msgspec.json.decode(ask.body)["recipients"] for ask in asks]))
        began = perf_counter()
        answers = [self.first.post(*ask) for ask in asks]
        return Sent(perf_counter() - began, answers, [self.first.seconds for _ in asks])


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    for name, value in {"BATCH": 20, "BATCHES": 2, "REPEATS": 2, "Load": Load}.items():
        monkeypatch.setattr(batches, name, value)
    monkeypatch.setattr(http_batch, "REPEATS", 2)
    monkeypatch.setattr(http_batch, "Server", Standing)
    monkeypatch.setattr(echo_run, "Load", Load)
    monkeypatch.setattr(echo_run, "EchoServer", Echo)


def test_the_echo_gets_whom_the_product_got_in_turn() -> None:
    figures = http_batch.http_batch_json().as_dict()
    assert [name for name, _ in ASKED] == [*["product", "echo"] * 4, "product"]
    people = [asked for _, asked in ASKED]
    assert people[2::2][:-1] == people[3::2]
    ratio = figures["ratio_to_echo"]
    assert isinstance(ratio, float)
    assert ratio == pytest.approx(figures["decisions_per_s"] / figures["echo_per_s"], rel=0.01, abs=0.001)  # type: ignore[operator]


def test_an_echo_that_answers_wrongly_is_no_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echoed, "forgets", True)
    with pytest.raises(AnswersWrong):
        http_batch.http_batch_json()


def test_both_forms_say_the_same_of_the_same_people() -> None:
    told = []
    for form, shape in ((JSON_FORM, Form()), (ARROW, Form(b'{"campaign_id":"spring","dedup_key":"first"}', True))):
        engine = Engine()
        engine.put_campaign(CAMPAIGN_BODY, CAMPAIGN)
        request = engine.router.parse_batch(form.ask(CAMPAIGN, "first", form.people(0, 50)).body, shape)
        decided = engine.shards[0].decide(request.part(0, FIRST_DAY))
        answer = form.read(shape.render(request, {0: decided}, "b-1")[0])
        check_batch(answer, 0, 50)
        told.append(
            [(row.message_id, row.channel, row.scheduled_at, micros(row.cost or "0")) for row in answer.results]
        )
    assert told[0] == told[1]
    assert len({channel for _, channel, _, _ in told[0]}) > 1
