"""`madan-sara bench`: what the product does in a second, with machine, method and date."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.checkpoint import checkpoint
from bench.command import end_on_sigterm, json_option, write_figures
from bench.connection import Refused
from bench.data_job_speed import data_job
from bench.delivery import delivery
from bench.durability import durability
from bench.engine_decisions import engine_decisions
from bench.growth.curves import growth
from bench.http_batch import http_batch_arrow, http_batch_json
from bench.http_send import http_send
from bench.machine import Machine, this_machine
from bench.memory import memory
from bench.overload import overload
from bench.peers.comparison import EXTRA, peers
from bench.progress import shown
from bench.report import wide_console
from bench.restart import restart
from bench.result import AnswersWrong, Result
from bench.server import ServerFailed

BENCHMARKS: dict[str, Callable[[], Result]] = {
    "http_send": http_send,
    "http_batch_json": http_batch_json,
    "http_batch_arrow": http_batch_arrow,
    "engine": engine_decisions,
    "durability": durability,
    "memory": memory,
    "checkpoint": checkpoint,
    "restart": restart,
    "delivery": delivery,
    "peers": peers,
    "overload": overload,
    "data_job": data_job,
    "growth": growth,  # last, as it takes the longest
}
WRONG_BUILD = 2


@click.command()
@json_option
@click.option(
    "--only", type=click.Choice(list(BENCHMARKS)), metavar="NAME", help=f"Run one alone: {', '.join(BENCHMARKS)}."
)
def bench(json_file: TextIO | None, only: str | None) -> None:
    """Measure the product as its user meets it, and check every answer while at it.

    Exits 1 if an answer is wrong or a target is missed, 2 on a debug build, which says nothing about speed.
    """
    _refuse_debug_build()
    end_on_sigterm()
    console, machine = wide_console(), this_machine()
    results = []
    for name in [only] if only else BENCHMARKS:
        try:
            with shown(console, name):
                results.append(BENCHMARKS[name]())
        except (AnswersWrong, Refused, ServerFailed, OSError) as error:
            raise click.ClickException(f"{name}: {error}") from error
        except ModuleNotFoundError as error:
            raise click.ClickException(f"{name}: the package {error.name} is missing: {EXTRA}") from error
    _show(results, machine, console)
    write_figures(json_file, {"machine": machine.as_dict(), **{result.name: result.as_dict() for result in results}})
    if any(result.reached is False for result in results):
        sys.exit(1)


def _refuse_debug_build() -> None:
    from engine._core import BUILD_PROFILE  # noqa: PLC0415 - `demo` needs no core in its own process

    if BUILD_PROFILE != "release":
        click.echo(f"the core is a {BUILD_PROFILE} build, whose figures mean nothing: build it for release", err=True)
        sys.exit(WRONG_BUILD)


def _show(results: list[Result], machine: Machine, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "measured", "target", ""):
        table.add_column(column)
    marks = {True: "[green]✓[/]", False: "[bold red]✗[/]", None: ""}
    for result in results:
        table.add_row(f"[bold]{result.name}[/]", result.headline, result.target, marks[result.reached])
        for name, sentence in result.rows:
            table.add_row(f"  {name}", escape(sentence))
        table.add_row("", f"[dim]{result.method}[/]", end_section=True)
    console.print()
    console.print(table)
    for line in machine.lines():
        console.print(line, style="dim", highlight=False)
