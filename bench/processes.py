"""The processes that a server started, as Linux lists them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
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
