"""The page of a run: every figure of the file in its place, the same bytes each time, and one line for a wrong file."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import main
from bench.figures import NoFigures, read_figures
from bench.machine import this_machine

TOLD = {"headline": "5 | a second", "target": "", "reached": True, "method": "by counting"}
CURVES: dict[str, list[dict[str, Any]]] = {
    "shards": [
        {"shards": shards, "decisions_per_s": 301_234 + shards, "decisions_per_s_range": [290_000, 320_000],
         "batch_p50_ms": 100.0, "batch_p99_ms": 150.5, "batches": 40, "send_p50_ms": 5.0, "send_p99_ms": 9.0,
         "send_longest_ms": 12.0, "sends": 2_000, "send_failures": 0}
        for shards in (1, 2, 4)
    ],
    "batch_sizes": [
        {"batch": batch, "decisions_per_s": 1_000 * batch, "decisions_per_s_range": [900 * batch, 1_100 * batch],
         "p50_ms": 2.0, "p99_ms": 4.0 * batch, "requests": 3_000}
        for batch in (1, 100)
    ],
    "known": [
        {"recipients": recipients, "decisions_per_s_core": 1_000_001,
         "decisions_per_s_core_range": [900_000, 1_100_000], "decisions_per_s_core_first_contact": 400_000,
         "batch_p50_ms": 15.0, "batch_p99_ms": 17.0, "batches": 250, "bytes_per_recipient": 436}
        for recipients in (10_000, 10_000_000)
    ],
    "restart": [{"recipients": 10_000, "seconds": 0.7, "seconds_range": [0.6, 0.9], "kills": 3}],
    "stall": [
        {"recipients": 10_000, "p50_ms": 1.0, "p99_ms": 3.0, "longest_stall_ms": 9.9,
         "longest_stall_ms_range": [5.0, 9.9], "sends": 9_000, "pages": 700}
    ],
}  # fmt: skip
FIGURES: dict[str, Any] = {
    "machine": this_machine().as_dict(),
    "http_batch_json": {**TOLD, "decisions_per_s": 308_019, "echo_per_s": 699_069},
    "engine": {**TOLD, "reached": False, "decisions_per_s_core": 731_856},
    "peers": {**TOLD, "reached": None, "limits": {"checks_per_s": 28_676, "lacks": "gaps"},
              "redis": {"missing": "redis-server is missing"}},
    "growth": {**TOLD, "reached": None, **CURVES, "methods": {"restart": "kill -9 of all"}},
}  # fmt: skip
PLOTS = {*CURVES, "peers"}


def write(figures: object, directory: Path) -> Result:
    """The command on a file with these figures."""
    file = directory / "figures.json"
    file.write_text(figures if isinstance(figures, str) else json.dumps(figures))
    return CliRunner().invoke(main, ["bench-page", str(file), str(directory / "page")])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the page of everything."""
    directory = tmp_path_factory.mktemp("whole")
    ran = write(FIGURES, directory)
    assert ran.exit_code == 0, ran.output
    return directory / "page"


def test_every_figure_is_on_the_page(whole: Path) -> None:
    page = (whole / "figures.md").read_text()
    for line in (
        "| `http_batch_json` | 5 \\| a second | – | ✓ | by counting |",
        "| `engine` | 5 \\| a second | – | ✗ | by counting |",
        "| limits | 28,676 checks | gaps |",
        "| redis | – | left out: redis-server is missing |",
        "| 4 | 301,238 (290,000 to 320,000) | 100 / 150 | 5.0 / 9.0 / 12.0 | 0 |",
        "| 100 | 100,000 (90,000 to 110,000) | 2.0 / 400.0 | 3,000 |",
        "| 10,000,000 | 1,000,001 (900,000 to 1,100,000) | 400,000 | 15.0 / 17.0 | 436 |",
        "| 10,000 | 0.7 | 0.6 to 0.9 |",
        "| 10,000 | 1.0 / 3.0 | 9.9 | 5.0 to 9.9 | 700 |",
        "How: kill -9 of all.",
        str(FIGURES["machine"]["processor"]),
    ):
        assert line in page
    assert {path.stem for path in whole.glob("*.svg")} == PLOTS
    for plot in PLOTS:
        assert f"({plot}.svg)" in page
    peers = (whole / "peers.svg").read_text()
    assert ">28,676<" in peers, "text is text"
    assert ">308,019<" in peers


def test_the_same_file_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    assert write(FIGURES, tmp_path).exit_code == 0
    first, second = ({path.name: path.read_bytes() for path in one.iterdir()} for one in (whole, tmp_path / "page"))
    assert first == second
    assert len(first) == len(PLOTS) + 1
    assert not any(b"dc:date" in content for content in first.values())


@pytest.mark.parametrize("missing", [{"shards", "known", "peers"}, {"batch_sizes", "restart", "stall"}])
def test_what_was_not_measured_is_left_out(tmp_path: Path, missing: set[str]) -> None:
    figures = copy.deepcopy(FIGURES)
    for name in missing:
        del (figures if name == "peers" else figures["growth"])[name]
    assert write(figures, tmp_path).exit_code == 0
    assert {path.stem for path in (tmp_path / "page").glob("*.svg")} == PLOTS - missing
    page = (tmp_path / "page" / "figures.md").read_text()
    assert {plot for plot in PLOTS if f"({plot}.svg)" in page} == PLOTS - missing


def test_a_run_of_one_benchmark_has_a_page(tmp_path: Path) -> None:
    ran = write({"machine": FIGURES["machine"], "engine": FIGURES["engine"]}, tmp_path)
    assert ran.exit_code == 0, ran.output
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["figures.md"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("ready http://127.0.0.1", "malformed"),
        ("[1]", "Expected `object`"),
        ("{}", "no key machine"),
        ({"machine": {}}, "missing required field `processor`"),
        ({**FIGURES, "engine": {"headline": "5"}}, "missing required field `target` - at `$[...]`"),
        ({**FIGURES, "growth": {"shards": [{"shards": "one"}]}}, "Expected `int`, got `str` - at `$.shards[0].shards`"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, wrong: object, said: str) -> None:
    ran = write(wrong, tmp_path)
    assert ran.exit_code == 2
    assert len(ran.output.splitlines()) == 1
    assert "no file of madan-sara bench --json" in ran.output
    assert said in ran.output
    assert not (tmp_path / "page").exists()


def test_a_file_that_is_not_text_is_refused() -> None:
    with pytest.raises(NoFigures):
        read_figures(b'{"machine": {"processor": "\xff"}}')


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bench.plots", None)
    ran = write(FIGURES, tmp_path)
    assert ran.exit_code == 1
    assert "pip install 'madan-sara[bench]'" in " ".join(ran.output.replace("│", " ").split())
