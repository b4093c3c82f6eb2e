"""The figures have the names that whoever reads the file looks for."""

from pathlib import Path

import pytest

import bench
from bench.result import Result
from bench.run import BENCHMARKS

FIGURES = {
    "http_batch_json": ("decisions_per_s", "ratio_to_echo"),
    "http_batch_arrow": ("decisions_per_s", "ratio_to_echo"),
    "http_send": ("p99_ms", "achieved_per_s"),
    "engine": ("decisions_per_s_core",),
    "durability": ("throughput_ratio",),
    "memory": ("bytes_per_recipient",),
    "checkpoint": ("longest_stall_ms",),
    "restart": ("seconds_1m",),
    "overload": ("goodput_ratio", "refused_share", "failures"),
    "data_job": ("decisions_per_s",),
}


@pytest.mark.parametrize("name", FIGURES)
def test_each_benchmark_writes_its_figures(name: str) -> None:
    """Read in the source: to run them all takes minutes."""
    source = Path(bench.__path__[0], Path(BENCHMARKS[name].__code__.co_filename).name).read_text()
    assert f'"{name}"' in source
    for figure in FIGURES[name]:
        assert f'"{figure}": ' in source


def test_figures_stand_beside_their_meaning() -> None:
    told = Result("engine", "5 a second", "", None, "by counting", {"decisions_per_s_core": 5}).as_dict()
    assert told["decisions_per_s_core"] == 5
    assert told["reached"] is None


def test_a_figure_may_not_hide_its_meaning() -> None:
    with pytest.raises(AssertionError):
        Result("engine", "5 a second", "", None, "by counting", {"target": 5}).as_dict()
