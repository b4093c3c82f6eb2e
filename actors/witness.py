"""A few bytes beside a state file that say how far it had come: a second, independent word.

SQLite silently drops what its write-ahead log holds after the first damaged frame: after a kill one flipped bit
would lose commits that were acknowledged, and nothing in the database would show it. So after each durable commit
its epoch and sequence are written here, without a sync. That survives the death of the process. After a power cut
the witness may be behind the database; it is never ahead of it, for it is written afterwards. Whoever finds it ahead
knows that commits are missing.

What it cannot do: after a power cut that left it behind, or where an old one was put back, a log that is damaged
*besides* loses commits unnoticed, as it would without a witness. It takes two faults at once.

It is one write of 32 bytes in place, within one sector of the disk, so it is old or new but never half. Therefore:

* absent or empty: no word. It is so before the first life, and where a person deleted it to go on without what is
  missing (the one way to say so, and the fault says it).
* anything else that is not a witness of this very file: it was damaged or is another's, and is refused.

It is also the fence that does not rest on locks: a life that finds a later epoch here has been superseded.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from zlib import crc32

from engine.errors import StateFault

__all__ = ["Witness", "sync_directory", "witness_path"]

WORD = struct.Struct("<8sqq")
MAGIC = b"MSlast1\n"
SIZE = WORD.size + 8


def witness_path(path: Path) -> Path:
    """Of the witness of a state file."""
    return path.with_name(path.name + ".last")


def sync_directory(directory: Path) -> None:
    """Makes durable which files are in it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Witness:
    """Of one state file; of its `kind` and directory (`identity`), so that another's is not taken for it."""

    def __init__(self, path: Path, kind: str, identity: bytes) -> None:
        self.path = witness_path(path)
        self._seed = crc32(identity, crc32(kind.encode()))
        self._descriptor: int | None = None

    def read(self) -> tuple[int, int] | None:
        """Epoch and sequence, or None where there is no word. Raises `StateFault` where there is a wrong one."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        word = self._decode(raw)
        if raw and word is None:
            what = "it is damaged or another file's, and does not tell whether commits are missing"
            remedy = (
                "Put the state file and what lies beside it back from one backup; "
                f"or delete {self.path.name}, if the state file is known to be whole"
            )
            raise StateFault(str(self.path), None, what, remedy)
        return word

    def begin(self, epoch: int, sequence: int) -> None:
        """The first word of a life. That the file is there is durable afterwards."""
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.write(epoch, sequence)
        self.sync()
        sync_directory(self.path.parent)

    def write(self, epoch: int, sequence: int) -> None:
        """Says how far the file has come. Call only when that is durable."""
        assert self._descriptor is not None, "a life writes its witness"
        if os.pwrite(self._descriptor, self._encode(epoch, sequence), 0) != SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the system says so only at the next write

    def epoch(self) -> int:
        """Of the life that wrote last; 0 where nothing readable is there."""
        word = self._decode(os.pread(self._descriptor, SIZE + 1, 0)) if self._descriptor is not None else None
        return word[0] if word else 0

    def sync(self) -> None:
        """Makes the last word durable, and the file's being there."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Lets go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _encode(self, epoch: int, sequence: int) -> bytes:
        word = WORD.pack(MAGIC, epoch, sequence)
        return word + struct.pack("<q", crc32(word, self._seed))

    def _decode(self, raw: bytes) -> tuple[int, int] | None:
        if len(raw) != SIZE:
            return None
        _, epoch, sequence = WORD.unpack(raw[: WORD.size])
        return (epoch, sequence) if raw == self._encode(epoch, sequence) else None
