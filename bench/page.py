"""`madan-sara bench-page`: the tables and plots of what `madan-sara bench --json` wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from bench.figures import Figures, NoFigures, read_figures
from bench.peers.comparison import EXTRA

__all__ = ["bench_page"]

NO_FIGURES = 2
NO_TARGET = "–"
MARKS = {True: "✓", False: "✗", None: ""}
PAGE = "figures.md"

Column = tuple[str, Callable[[Any], str]]


def _rate(field: str) -> Column:
    """A figure with its range, in whole numbers."""

    def cell(point: Any) -> str:
        low, high = getattr(point, f"{field}_range")
        return f"{getattr(point, field):,} ({low:,} to {high:,})"

    return "a second (range)", cell


CURVES: dict[str, tuple[str, Sequence[Column]]] = {
    "shards": (
        "Shards",
        (
            ("shards", lambda point: f"{point.shards}"),
            _rate("decisions_per_s"),
            ("a batch, p50 / p99 ms", lambda point: f"{point.batch_p50_ms:.0f} / {point.batch_p99_ms:.0f}"),
            (
                "a single send, p50 / p99 / longest ms",
                lambda point: f"{point.send_p50_ms:.1f} / {point.send_p99_ms:.1f} / {point.send_longest_ms:.1f}",
            ),
            ("failures", lambda point: f"{point.send_failures}"),
        ),
    ),
    "batch_sizes": (
        "Batch sizes",
        (
            ("people a batch", lambda point: f"{point.batch:,}"),
            _rate("decisions_per_s"),
            ("a request, p50 / p99 ms", lambda point: f"{point.p50_ms:.1f} / {point.p99_ms:.1f}"),
            ("requests", lambda point: f"{point.requests:,}"),
        ),
    ),
    "known": (
        "People known, in process",
        (
            ("people", lambda point: f"{point.recipients:,}"),
            _rate("decisions_per_s_core"),
            ("on first contact", lambda point: f"{point.decisions_per_s_core_first_contact:,}"),
            ("a batch, p50 / p99 ms", lambda point: f"{point.batch_p50_ms:.1f} / {point.batch_p99_ms:.1f}"),
            ("bytes a person", lambda point: f"{point.bytes_per_recipient:,}"),
        ),
    ),
    "restart": (
        "Restart",
        (
            ("people", lambda point: f"{point.recipients:,}"),
            ("seconds", lambda point: f"{point.seconds:.1f}"),
            ("range", lambda point: "{:.1f} to {:.1f}".format(*point.seconds_range)),
        ),
    ),
    "stall": (
        "Longest stall",
        (
            ("people", lambda point: f"{point.recipients:,}"),
            ("p50 / p99 ms", lambda point: f"{point.p50_ms:.1f} / {point.p99_ms:.1f}"),
            ("longest ms", lambda point: f"{point.longest_stall_ms:.1f}"),
            ("longest of each round", lambda point: "{:.1f} to {:.1f}".format(*point.longest_stall_ms_range)),
            ("pages", lambda point: f"{point.pages:,}"),
        ),
    ),
}


@click.command("bench-page")
@click.argument("figures_file", metavar="FIGURES.json", type=click.File("rb"))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def bench_page(figures_file: Any, directory: Path) -> None:
    """Write the tables and plots of a file of `bench --json` into a directory: figures.md, and an SVG each.

    The same file gives the same bytes. What it does not have is left out. Exits 2 if the bench did not write it.
    """
    try:
        figures = read_figures(figures_file.read())
    except NoFigures as error:
        click.echo(f"{figures_file.name} is no file of madan-sara bench --json: {error}", err=True)
        sys.exit(NO_FIGURES)
    try:
        from bench.plots import draw  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise click.ClickException(f"the package {error.name} is missing: {EXTRA}") from error
    pictures = draw(figures)
    directory.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (directory / f"{name}.svg").write_bytes(picture)
    (directory / PAGE).write_text(page(figures, {*pictures}), encoding="utf-8")
    click.echo(f"{directory / PAGE}: {len(pictures)} plots")


def page(figures: Figures, pictures: set[str]) -> str:
    """The Markdown; the pictures of these names lie beside it."""
    parts = [
        "# Figures of one run",
        "Made by `madan-sara bench-page` from what `madan-sara bench --json` wrote; not edited by hand.",
        "\n".join(f"{line}  " for line in figures.machine.lines()).rstrip(),
    ]
    if figures.told:
        rows = [
            (f"`{name}`", told.headline, told.target or NO_TARGET, MARKS[told.reached], told.method)
            for name, told in figures.told.items()
        ]
        parts += [_table(("benchmark", "measured", "target", "", "how"), rows)]
    if figures.peers:
        parts += ["## Peers", *_picture("peers", pictures), _peers(figures)]
    for name, (title, columns) in CURVES.items():
        points = getattr(figures.curves, name)
        if points:
            cells = [[cell(point) for _, cell in columns] for point in points]
            method = figures.curves.methods.get(name)
            parts += [f"## {title}", *_picture(name, pictures), _table([head for head, _ in columns], cells)]
            parts += [f"How: {method}."] if method else []
    return "\n\n".join(parts) + "\n"


def _peers(figures: Figures) -> str:
    rows = [
        (name, f"{peer.per_s:,.0f} {peer.does}" if peer.per_s else NO_TARGET, peer.lacks or f"left out: {peer.missing}")
        for name, peer in figures.peers.items()
    ]
    return _table(("peer", "a second", "what it does not do"), rows)


def _picture(name: str, pictures: set[str]) -> list[str]:
    return [f"![{name.replace('_', ' ')}]({name}.svg)"] if name in pictures else []


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
