"""What the commands of this folder share: where figures go, and an orderly end."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import rich_click as click

__all__ = ["end_on_sigterm", "json_option", "write_figures"]

TERMINATED = 128 + signal.SIGTERM

# Opened before the work: a file that cannot be written must not cost a whole run.
json_option = click.option(
    "--json",
    "json_file",
    type=click.File("w", encoding="utf-8", lazy=False),
    help="Write every figure to this file.",
)


def end_on_sigterm() -> None:
    """Has SIGTERM unwind this process, so that the server it started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


def write_figures(json_file: TextIO | None, figures: Mapping[str, Any]) -> None:
    """Writes the figures if a file was asked for."""
    if json_file is not None:
        json_file.write(json.dumps(figures, indent=2) + "\n")
