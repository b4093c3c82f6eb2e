"""The processes that a server started, as Linux lists them, and their end."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress

import psutil


def descendants(process_id: int) -> Iterator[tuple[int, str]]:
    """Number and title of each; those that end meanwhile are left out."""
    for process in psutil.Process(process_id).children(recursive=True):
        with suppress(psutil.Error):
            yield process.pid, " ".join(process.cmdline()).strip()


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
