"""The curves as pictures: SVG whose bytes depend on the figures alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.typing import RcKeyType

from bench.figures import Figures
from bench.growth.points import BatchSizePoint, KnownPoint, RestartPoint, ShardsPoint, StallPoint

__all__ = ["draw"]

WIDTH, HEIGHT = 8.0, 2.9
"""Inches of 72 points."""

MARGIN = 1.4
"""What is left beside the first and last point, as a ratio."""

LEAST_BAR, ROOM_FOR_FIGURES = 10, 4
"""Where bars begin, as a logarithm has no zero, and how much further than the longest the axis goes."""

KNOWN = "people known"

STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",  # text stays text: small, and the reader's own font
    "svg.hashsalt": "madan-sara",
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": "#e4e4e4",
    "lines.marker": "o",
    "lines.markersize": 4,
    "legend.frameon": False,
}
UNDATED = {"Date": None, "Creator": None}
BLUE, ORANGE, GREY = "#1f5f8b", "#d9822b", "#8a8f98"
LATENCIES = {"p50": BLUE, "p99": ORANGE, "longest": GREY}
Ranges = Sequence[tuple[float, float]]


def draw(figures: Figures) -> dict[str, bytes]:
    """The pictures by name, of what was measured."""
    curves = figures.curves
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the machine's own style is
        mpl.rcParams.update(STYLE)
        drawn = {
            "shards": _shards(curves.shards) if curves.shards else None,
            "batch_sizes": _batch_sizes(curves.batch_sizes) if curves.batch_sizes else None,
            "known": _known(curves.known) if curves.known else None,
            "restart": _restart(curves.restart) if curves.restart else None,
            "stall": _stall(curves.stall) if curves.stall else None,
            "peers": _peers(rates) if (rates := _rates(figures)) else None,
        }
        return {name: _svg(figure) for name, figure in drawn.items() if figure is not None}


def _svg(figure: Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata=UNDATED)
    return written.getvalue()


def _shards(points: Sequence[ShardsPoint]) -> Figure:
    xs = [point.shards for point in points]
    figure, (speed, batch, send) = _panels(3, xs, "shards")
    _rates_line(
        speed, xs, [point.decisions_per_s for point in points], [point.decisions_per_s_range for point in points]
    )
    speed.set_title("decisions a second, HTTP, JSON")
    _latency(batch, xs, p50=[point.batch_p50_ms for point in points], p99=[point.batch_p99_ms for point in points])
    batch.set_title("a batch of 10,000, ms")
    _latency(send, xs, p50=[point.send_p50_ms for point in points], p99=[point.send_p99_ms for point in points])
    send.set_title("a single send, ms")
    return figure


def _batch_sizes(points: Sequence[BatchSizePoint]) -> Figure:
    xs = [point.batch for point in points]
    figure, (speed, latency) = _panels(2, xs, "people a batch")
    for axes in (speed, latency):
        axes.set_yscale("log")
    _rates_line(
        speed, xs, [point.decisions_per_s for point in points], [point.decisions_per_s_range for point in points]
    )
    speed.set_title("decisions a second, HTTP, JSON")
    _latency(latency, xs, p50=[point.p50_ms for point in points], p99=[point.p99_ms for point in points])
    latency.yaxis.set_major_formatter(FuncFormatter(_short))
    latency.set_title("a request, ms")
    return figure


def _known(points: Sequence[KnownPoint]) -> Figure:
    xs = [point.recipients for point in points]
    figure, (speed, memory) = _panels(2, xs, KNOWN)
    ranges = [point.decisions_per_s_core_range for point in points]
    _rates_line(speed, xs, [point.decisions_per_s_core for point in points], ranges)
    speed.set_title("decisions a second and core, in process")
    memory.plot(xs, [point.bytes_per_recipient for point in points], color=BLUE)
    memory.set_ylim(bottom=0)
    memory.set_title("bytes a person")
    return figure


def _restart(points: Sequence[RestartPoint]) -> Figure:
    xs = [point.recipients for point in points]
    figure, (axes,) = _panels(1, xs, KNOWN)
    _rates_line(axes, xs, [point.seconds for point in points], [point.seconds_range for point in points])
    axes.set_title("seconds from kill -9 of all to answering again")
    return figure


def _stall(points: Sequence[StallPoint]) -> Figure:
    xs = [point.recipients for point in points]
    figure, (axes,) = _panels(1, xs, KNOWN)
    _latency(
        axes,
        xs,
        p50=[point.p50_ms for point in points],
        p99=[point.p99_ms for point in points],
        longest=[point.longest_stall_ms for point in points],
    )
    axes.set_title("a single decision until durable, while pages are written, ms")
    return figure


def _rates(figures: Figures) -> dict[str, float]:
    """The product, the echo and the peers, by what they are called in the picture; nothing where there are no peers."""
    peers = {f"{name} ({peer.does})": peer.per_s for name, peer in figures.peers.items() if peer.per_s}
    if not peers:
        return {}
    rates: dict[str, float | None] = {}
    for name, form in (("http_batch_json", "JSON"), ("http_batch_arrow", "Arrow")):
        if name in figures.told:
            rates[f"Madan Sara, {form}"] = figures.told[name].decisions_per_s
    if "http_batch_json" in figures.told:
        rates["echo, JSON (does nothing)"] = figures.told["http_batch_json"].echo_per_s
    return {name: rate for name, rate in {**rates, **peers}.items() if rate}


def _peers(rates: dict[str, float]) -> Figure:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    colours = [BLUE if name.startswith("Madan Sara") else GREY for name in rates]
    bars = axes.barh([*rates], [*rates.values()], color=colours)
    axes.bar_label(bars, labels=[f"{rate:,.0f}" for rate in rates.values()], padding=3)
    axes.set_xscale("log")
    axes.set_xlim(LEAST_BAR, max(rates.values()) * ROOM_FOR_FIGURES)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.set_title("a second")
    return figure


def _panels(count: int, xs: Sequence[float], label: str) -> tuple[Figure, Sequence[Axes]]:
    """Side by side over the same x, on a logarithmic scale, with marks where points are and nowhere else."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, count, squeeze=False)[0]
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(xs[0] / MARGIN, xs[-1] * MARGIN)
        axes.set_xticks(xs, [_short(x) for x in xs])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label)
    return figure, panels


def _rates_line(axes: Axes, xs: Sequence[float], ys: Sequence[float], ranges: Ranges) -> None:
    """A line from zero on, with a bar from the lowest to the highest repeat at each point."""
    below = [y - low for y, (low, _) in zip(ys, ranges, strict=True)]
    above = [high - y for y, (_, high) in zip(ys, ranges, strict=True)]
    axes.errorbar(xs, ys, yerr=[below, above], color=BLUE, capsize=3)
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)


def _latency(axes: Axes, xs: Sequence[float], **lines: Sequence[float]) -> None:
    """A line for each of `LATENCIES`, from zero on."""
    for name, ys in lines.items():
        axes.plot(xs, ys, color=LATENCIES[name], label=name)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
    axes.legend()


def _short(number: float, _: object = None) -> str:
    """1,000 as 1 k, a million as 1 M."""
    for unit, name in ((1_000_000, " M"), (1_000, " k")):
        if abs(number) >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"
