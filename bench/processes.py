"""The processes that a server started, as Linux lists them, and their end."""

from __future__ import annotations

import os
import select
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def descendants(process_id: int) -> Iterator[tuple[int, str]]:
    """Number and title of each; those that end meanwhile are left out."""
    children: dict[int, list[int]] = defaultdict(list)
    for directory in PROC.glob("[0-9]*"):
        with suppress(OSError):
            _, _, after_name = (directory / "stat").read_text().rpartition(")")
            children[int(after_name.split()[1])].append(int(directory.name))
    waiting = [*children[process_id]]
    while waiting:
        process = waiting.pop()
        waiting += children[process]
        with suppress(OSError):
            yield process, (PROC / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def kill(process_ids: Iterable[int]) -> None:
    """SIGKILL to each, and waits until all are gone: one that was killed first gives back what it holds."""
    handles: list[int] = []
    for process in process_ids:
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(process))
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles:
        select.select([handle], [], [])
        os.close(handle)
