"""What a figure was measured on: without it a figure says nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PRODUCT = ("madan-sara", "ray", "numba", "numpy", "litestar", "uvicorn", "msgspec")
PEERS = ("sqlalchemy", "aiosqlite", "redis", "limits", "throttled-py")


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, cores this process may use, memory, system, versions, when, how busy it was before, and whether
    the core was compiled for what it does often (Makefile).

    The versions of the peers are for machines alone: people read a line.
    """

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    versions: dict[str, str]
    date: str
    load: float
    profile_guided: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether other work had more than a quarter of the cores: figures are then worse than they are."""
        return self.load > self.cores / 4

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> tuple[str, str]:
        """Two lines for people."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items() if name in PRODUCT)
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}",
            f"Python {self.python}, {versions}{', core profile-guided' if self.profile_guided else ''}; {self.date}"
            + (f"; busy with other work before (load {self.load:.1f})" if self.is_busy else ""),
        )


def this_machine() -> Machine:
    """Looks around."""
    from engine._core import PROFILE_GUIDED  # noqa: PLC0415 - takes a second, so only when asked for

    return Machine(
        processor=_processor(),
        cores=cores(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: number for name in PRODUCT + PEERS if (number := _version(name)) is not None},
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        load=round(os.getloadavg()[0], 1),
        profile_guided=PROFILE_GUIDED,
    )


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
