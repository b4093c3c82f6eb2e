"""A disk that fails on command in the processes of a cluster: SQLite meets the error in its own system calls.

`failing_disk.c` is preloaded into Ray and so into every actor. What fails lies in a file that all of them map, so that
an error outlasts the process that met it, and a next life finds the disk as it is.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["BROKEN", "FULL", "UNSYNCED", "DiskError", "FailingDisk"]

WRITES, SYNCS = 1, 2
SOURCE = Path(__file__).with_name("failing_disk.c")


class DiskError(NamedTuple):
    """What calls meet; see `failing_disk.c`."""

    error: int
    calls: int
    in_bytes: bool


FULL = DiskError(errno.ENOSPC, WRITES, in_bytes=True)
BROKEN = DiskError(errno.EIO, WRITES, in_bytes=False)
UNSYNCED = DiskError(errno.EIO, SYNCS, in_bytes=False)


class Command(ctypes.Structure):
    """As in `failing_disk.c`."""

    _fields_ = (
        ("error", ctypes.c_int32),
        ("calls", ctypes.c_int32),
        ("in_bytes", ctypes.c_int32),
        ("whole", ctypes.c_int32),
        ("left", ctypes.c_int64),
        ("failed", ctypes.c_int64),
        ("path", ctypes.c_char * 480),
    )


class FailingDisk:
    """Made by `preloaded`."""

    def __init__(self, command: Command) -> None:
        self._command = command

    @classmethod
    @contextmanager
    def preloaded(cls) -> Iterator[FailingDisk]:
        """Whatever Ray is started within the context has this disk. Needs a C compiler."""
        with tempfile.TemporaryDirectory() as directory:
            library, file = Path(directory) / "failing_disk.so", Path(directory) / "command"
            subprocess.run(
                ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True
            )
            file.write_bytes(bytes(ctypes.sizeof(Command)))
            added = {
                "LD_PRELOAD": str(library),
                "RAY_LD_PRELOAD_ON_WORKERS": "1",  # Ray takes it from them otherwise
                "MADAN_SARA_FAILING_DISK": str(file),
            }
            before = {name: os.environ.get(name) for name in added}
            with open(file, "r+b") as opened:
                mapped = mmap.mmap(opened.fileno(), 0)
            os.environ.update(added)
            try:
                yield cls(Command.from_buffer(mapped))
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value

    def fail(self, path: Path, error: DiskError, left: int, *, alone: bool = False) -> None:
        """From now on, once so many bytes or calls have succeeded, until `mend`. What begins with the path fails, too,
        unless it is meant `alone`."""
        command = self._command
        command.error = 0
        command.path, command.whole = os.fsencode(path.resolve()), alone
        command.calls, command.in_bytes, command.left, command.failed = error.calls, error.in_bytes, left, 0
        command.error = error.error

    def mend(self) -> None:
        """From now on everything succeeds."""
        self._command.error = 0

    @property
    def failed(self) -> int:
        """How many calls failed since `fail`."""
        failed: int = self._command.failed
        return failed
