"""The speed of the data job, without Ray: what it is measured on, and that its check sees what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.tables import stream_of, table_of
from bench import data_job_speed
from bench.batches import CAMPAIGN, FIRST_DAY
from bench.connection import JSON, Connection
from bench.result import AnswersWrong
from bench.server import ServerFailed
from engine import Engine
from engine.form import Form
from tests.bench.test_http_batch import Standing

PEOPLE = 600


class InProcess(Connection):
    """The engine at the other end of a connection that is none, and of a job that runs in no process of its own."""

    engine: Engine
    loses_rows = 0
    decides_more = 0

    def request(self, method: str, path: str, body: bytes | None = None, media_type: str = JSON) -> bytes:
        """The clock."""
        return b""

    def put(self, path: str, body: dict[str, Any]) -> None:
        self.engine.put_campaign(body, path.removeprefix("/campaigns/"))

    def get(self, path: str) -> dict[str, Any]:
        return self.engine.status(CAMPAIGN, FIRST_DAY)

    @classmethod
    @contextmanager
    def job(cls, _: str, people: Path, decisions: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Writes two files."""
        read = pq.read_table(people)
        decisions.mkdir()
        for number, table in enumerate((read[: PEOPLE // 3], read[PEOPLE // 3 :])):
            pq.write_table(cls.decide(table)[cls.loses_rows :], decisions / f"{number}.parquet")
        if cls.decides_more:
            cls.decide(data_job_speed.people_table(PEOPLE, cls.decides_more))
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            yield process

    @classmethod
    def decide(cls, people: pa.Table) -> pa.Table:
        form = Form(f'{{"campaign_id":"{CAMPAIGN}"}}'.encode(), True)
        request = cls.engine.router.parse_batch(stream_of(people), form)
        decided = cls.engine.shards[0].decide(request.part(0, FIRST_DAY))
        return table_of(form.render(request, {0: decided}, "b-1")[0]).replace_schema_metadata()


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InProcess, "engine", Engine(), raising=False)
    names = {"PEOPLE": PEOPLE, "ROWS_AT_ONCE": 250, "Server": Standing, "Connection": InProcess}
    for name, value in {**names, "started_job": InProcess.job, "address_of": lambda server: ""}.items():
        monkeypatch.setattr(data_job_speed, name, value)
    for name, value in (("host", "127.0.0.1"), ("port", 1)):
        monkeypatch.setattr(Standing, name, value, raising=False)


def test_everybody_in_the_file_is_counted() -> None:
    figures = data_job_speed.data_job().as_dict()
    assert figures["people"] == PEOPLE
    # The seconds are rounded to hundredths, and here there are few of them.
    assert PEOPLE / figures["decisions_per_s"] == pytest.approx(figures["seconds"], abs=0.0051)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "says"), [("loses_rows", "598 rows do not hold"), ("decides_more", "status says messages")]
)
def test_rows_and_status_that_do_not_agree_give_no_figure(
    monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setattr(InProcess, name, 1)
    with pytest.raises(AnswersWrong, match=says):
        data_job_speed.data_job()


def test_the_rate_is_that_between_start_and_end() -> None:
    looks = [(0.0, 0), (10.0, 60), (11.0, 160), (13.0, 460), (14.0, 599), (20.0, 600)]
    assert data_job_speed.steady_per_s(looks) == 400 / 3
    assert data_job_speed.steady_per_s(looks[-1:]) == 0


class Logged:
    """A server's log."""

    def __init__(self, text: str) -> None:
        self.text = text

    def log(self) -> str:
        return self.text


def test_the_job_joins_the_ray_of_its_server(undone: None) -> None:
    line = '{"message": "other processes join this cluster at 127.0.0.1:6379"}'
    assert data_job_speed.address_of(Logged(line)) == "127.0.0.1:6379"  # type: ignore[arg-type]
    with pytest.raises(ServerFailed):
        data_job_speed.address_of(Logged(""))  # type: ignore[arg-type]


def test_a_job_that_fails_is_told_with_its_last_words(undone: None, tmp_path: Path) -> None:
    with (
        pytest.raises(AnswersWrong, match=r"(?s)ended with 1.*address: takes"),
        data_job_speed.started_job("127.0.0.1:1", tmp_path, tmp_path) as job,
    ):
        job.wait(60)


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch, _without_ray: None) -> None:
    """The job and its address as they are."""
    monkeypatch.undo()
