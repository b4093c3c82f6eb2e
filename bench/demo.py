"""`madan-sara demo`: a real grocer's year through the real server."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any, TextIO

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bench.command import end_on_sigterm, json_option, write_figures
from bench.connection import Connection, Refused
from bench.journey import Journey, JourneyMissing, as_utc, load_journey
from bench.machine import Machine, this_machine
from bench.replay import Replay, WrongAnswer
from bench.report import show, wide_console
from bench.server import Server, ServerFailed
from bench.summary import run_checks, summary
from bench.timeline import end_of, start_of

CLEAN_END = "the server ended cleanly on SIGTERM"


@click.command()
@json_option
def demo(json_file: TextIO | None) -> None:
    """Replay a real grocer's year through a server of its own, and check every answer.

    Exits 1 if a cap, a budget or a count does not hold.
    """
    end_on_sigterm()
    console, machine = wide_console(), this_machine()
    try:
        journey = load_journey()
        figures = _replay(journey, machine, console)
    except (JourneyMissing, ServerFailed, Refused, WrongAnswer, OSError) as error:
        raise click.ClickException(str(error)) from error
    show(figures, console)
    console.print()
    for line in machine.lines():
        console.print(line, style="dim", highlight=False)
    write_figures(json_file, figures)
    if not all(check["held"] for check in figures["checks"]):
        sys.exit(1)


def _replay(journey: Journey, machine: Machine, console: Console) -> dict[str, Any]:
    with ExitStack() as stack:
        with console.status("Starting the server …"):
            server = stack.enter_context(Server("--clock", "manual"))
        connection = Connection(server.host, server.port)
        replay = Replay(journey, connection)
        with _progress(console) as progress:
            start = start_of(journey)
            task = progress.add_task("", total=end_of(journey) - start, decisions=0, day=as_utc(start)[:10])

            def told(now: int, decisions: int) -> None:
                progress.update(task, completed=now - start, decisions=decisions, day=as_utc(now)[:10])

            replay.run(told)
        connection.close()
        with console.status("Checking every answer …"):
            held = run_checks(replay, journey)
            exit_code = server.stop()
            held[CLEAN_END] = [] if exit_code == 0 else [f"it ended with {exit_code}"]
            return {"machine": machine.as_dict(), **summary(replay, journey, held)}


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[day]}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[decisions]:>7,} decisions"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
