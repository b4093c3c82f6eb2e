"""`madan-sara demo`: a real grocer's year through the real server, until every message has landed."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from actors.state_directory import outbox_path
from bench.answers import WrongAnswer
from bench.command import end_on_sigterm, json_option, write_figures
from bench.connection import Connection, Refused
from bench.delivery import CONFIGURATION as BY_SMTP
from bench.journey import Journey, JourneyMissing, as_utc, load_journey
from bench.landings import Landings
from bench.machine import Machine, this_machine
from bench.mailboxes import Mailboxes
from bench.replay import Replay
from bench.report import show, wide_console
from bench.server import Server, ServerFailed
from bench.summary import run_checks, summary
from bench.timeline import end_of, start_of

CLEAN_END = "the server ended cleanly on SIGTERM"
OUTLASTING = """
[delivery]
claim_timeout_ms = 3_600_000
"""
"""The clock leaps within an hour while receipts are on their way: their claims must outlast that."""


@click.command()
@click.option("--smtp", is_flag=True, help="Deliver e-mail to a mail server of its own; else all goes to the outbox.")
@json_option
def demo(smtp: bool, json_file: TextIO | None) -> None:
    """Replay a real grocer's year through a server of its own, deliver every message, and check every answer.

    Exits 1 if a cap, a budget, a count or a delivery does not hold.
    """
    end_on_sigterm()
    console, machine = wide_console(), this_machine()
    try:
        journey = load_journey()
        figures = _replay(journey, machine, console, smtp)
    except (JourneyMissing, ServerFailed, Refused, WrongAnswer, OSError) as error:
        raise click.ClickException(str(error)) from error
    show(figures, console)
    console.print()
    for line in machine.lines():
        console.print(line, style="dim", highlight=False)
    write_figures(json_file, figures)
    if not all(check["held"] for check in figures["checks"]):
        sys.exit(1)


def _replay(journey: Journey, machine: Machine, console: Console, smtp: bool) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="madan-sara-demo-", ignore_cleanup_errors=True))
        )
        state, configuration = folder / "state", folder / "delivery.toml"
        mailboxes = stack.enter_context(Mailboxes()) if smtp else None
        configuration.write_text(OUTLASTING + (BY_SMTP.replace("PORT", str(mailboxes.port)) if mailboxes else ""))
        with console.status("Starting the server …"):
            server = Server(
                *("--clock", "manual", "--state-dir", str(state), "--config", str(configuration)), delivers=True
            )
            stack.enter_context(server)
        connection = Connection(server.host, server.port)
        replay = Replay(journey, connection, Landings(outbox_path(state), mailboxes).take)
        with _progress(console) as progress:
            start = start_of(journey)
            task = progress.add_task("", total=end_of(journey) - start, decisions=0, landed=0, day=as_utc(start)[:10])

            def told(now: int, decisions: int, landed: int) -> None:
                day = as_utc(now)[:10]
                progress.update(task, completed=now - start, decisions=decisions, landed=landed, day=day)

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
        TextColumn("{task.fields[decisions]:>7,} decisions, {task.fields[landed]:>7,} landed"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
