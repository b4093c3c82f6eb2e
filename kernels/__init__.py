"""Stateless arithmetic over arrays, compiled by numba: local time, send times, ranking.

Kernels take columns and write to `out` arrays that the caller brings. The first call of each compiles it;
a process that must not pay for that during a request calls `warm_up` first.
"""

from kernels.jit import compile_all
from kernels.ranking import rank
from kernels.send_time import send_times
from kernels.words import HIGH, LOW, NO_CHANNEL, NONE, NORMAL, NOT_PREFERRED, TRANSACTIONAL
from kernels.zones import ZONE_INDEX, ZONE_NAMES, local_offset, zone_tables


def warm_up() -> None:
    """Builds the zone tables and compiles every kernel, or loads what an earlier process compiled."""
    zone_tables()
    compile_all()


__all__ = [
    "HIGH",
    "LOW",
    "NONE",
    "NORMAL",
    "NOT_PREFERRED",
    "NO_CHANNEL",
    "TRANSACTIONAL",
    "ZONE_INDEX",
    "ZONE_NAMES",
    "local_offset",
    "rank",
    "send_times",
    "warm_up",
    "zone_tables",
]
