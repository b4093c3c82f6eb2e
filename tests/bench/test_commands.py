"""What the commands say and how they exit when they cannot do their work."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench.demo
import bench.run
from bench.journey import Journey, JourneyMissing, load_journey
from bench.result import AnswersWrong, Result
from bench.server import Server, ServerFailed


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(JourneyMissing):
        load_journey()
    ran = CliRunner().invoke(bench.demo.demo)
    assert ran.exit_code == 1
    assert "pip install 'madan-sara[demo]'" in " ".join(ran.output.replace("│", " ").split())
    assert "Traceback" not in ran.output


def test_a_server_that_does_not_start_is_told_with_its_last_words() -> None:
    with pytest.raises(ServerFailed, match=r"(?s)before it was ready.*--no-such-option"), Server("--no-such-option"):
        pass


@pytest.mark.parametrize("arguments", [[], ["--smtp"]], ids=["outbox", "smtp"])
def test_the_demo_replays_on_the_real_server_and_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_journey: Journey, arguments: list[str]
) -> None:
    before = children()
    monkeypatch.setattr(bench.demo, "load_journey", lambda: short_journey)
    ran = CliRunner().invoke(bench.demo.demo, [*arguments, "--json", str(tmp_path / "figures.json")])
    assert ran.exit_code == 0, ran.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [check["promise"] for check in figures["checks"]][-1] == bench.demo.CLEAN_END
    assert figures["decisions"]["receipts"]["total"] == len(short_journey.baskets)
    channels = figures["delivery"]["by_channel"]
    assert channels["email"]["came_back"] == channels["email"]["failed"] + sum(
        channels["email"]["fell_back_to"].values()
    )
    assert channels["email"]["came_back"] > 0
    assert channels["sms"]["arrived"] > 0
    assert children() == before


def children() -> set[int]:
    """The processes that this one, any of its threads, started and that still run."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(number) for one in lists for number in one.read_text().split()}


@pytest.mark.parametrize(("reached", "exit_code"), [(True, 0), (None, 0), (False, 1)])
def test_bench_exits_by_its_targets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reached: bool | None, exit_code: int
) -> None:
    rows = (("peer", "pip install 'madan-sara[bench]'"),)
    result = Result("engine", "5 a second", "4 a second", reached, "by counting", {"a_second": 5}, rows)
    monkeypatch.setitem(bench.run.BENCHMARKS, "engine", lambda: result)
    monkeypatch.setattr("engine._core.BUILD_PROFILE", "release")
    ran = CliRunner().invoke(bench.run.bench, ["--only", "engine", "--json", str(tmp_path / "figures.json")])
    assert ran.exit_code == exit_code, ran.output
    assert "5 a second" in ran.output
    assert "pip install 'madan-sara[bench]'" in ran.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == {"machine", "engine"}
    assert figures["engine"] == {
        "headline": "5 a second",
        "target": "4 a second",
        "reached": reached,
        "method": "by counting",
        "a_second": 5,
    }


def test_bench_gives_no_figure_for_wrong_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> Result:
        raise AnswersWrong("someone was answered twice")

    monkeypatch.setitem(bench.run.BENCHMARKS, "engine", wrong)
    monkeypatch.setattr("engine._core.BUILD_PROFILE", "release")
    ran = CliRunner().invoke(bench.run.bench, ["--only", "engine"])
    assert ran.exit_code == 1
    assert "answered twice" in ran.output


def test_bench_refuses_a_debug_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine._core.BUILD_PROFILE", "debug")
    ran = CliRunner().invoke(bench.run.bench, [])
    assert ran.exit_code == 2
    assert "debug build" in ran.output
