"""The state directory: one file of the ledger, and one of each shard.

The ledger's file says whose directory it is (`identity`); every other file must say the same.
"""

from __future__ import annotations

from pathlib import Path

from engine.errors import ConfigurationError

__all__ = ["ledger_path", "make_directory", "outbox_path", "shard_path", "shards_with_files"]

OF_SHARDS = "shard-*.sqlite*"
"""Files of shards, and what lies beside them."""


def ledger_path(directory: Path) -> Path:
    """The ledger's state file."""
    return directory / "ledger.sqlite"


def shard_path(directory: Path, index: int) -> Path:
    """A shard's state file."""
    return directory / f"shard-{index}.sqlite"


def outbox_path(directory: Path) -> Path:
    """What the adapter `outbox` writes."""
    return directory / "outbox.db"


def shards_with_files(directory: Path) -> list[str]:
    """The names of all files that shards left, in order."""
    return sorted(path.name for path in directory.glob(OF_SHARDS))


def make_directory(directory: Path) -> None:
    """Makes the directory, for its owner only, where there is none. Raises `ConfigurationError`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        takes = f"takes a directory that may be made and written; {directory}: {error.strerror}"
        raise ConfigurationError("state_dir", takes) from None
