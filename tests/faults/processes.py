"""Processes of this machine, as the system knows them: who began whom, what they run, and their end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

__all__ = ["command_of", "family_of", "kill"]


def family_of(process: int) -> list[int]:
    """A process and all that it began, and those began, as long as somebody between lives."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    family = [process]
    for one in family:
        family += children.get(one, [])
    return family


def command_of(process: int) -> str:
    """What it runs; nothing where it has ended, waited for or not."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill(process: int) -> None:
    """SIGKILL, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
