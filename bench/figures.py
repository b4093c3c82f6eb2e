"""What `madan-sara bench --json` wrote, read again."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.growth.points import Curves
from bench.machine import Machine

__all__ = ["Figures", "NoFigures", "PeerFigure", "Told", "read_figures"]


class NoFigures(Exception):  # noqa: N818
    """Not a file that the bench wrote; the message says in one line what is wrong with it."""


class Told(msgspec.Struct):
    """Of each benchmark what it means (`Result`), and of the batches over HTTP the rates that are compared."""

    headline: str
    target: str
    reached: bool | None
    method: str
    decisions_per_s: float | None = None
    echo_per_s: float | None = None


class PeerFigure(msgspec.Struct):
    """One peer: decisions or checks a second, or neither where it was `missing`."""

    decisions_per_s: float | None = None
    checks_per_s: float | None = None
    lacks: str = ""
    missing: str = ""

    @property
    def per_s(self) -> float | None:
        """Either."""
        return self.decisions_per_s or self.checks_per_s

    @property
    def does(self) -> str:
        """What it is that it does."""
        return "decisions" if self.decisions_per_s else "checks"


class Figures(msgspec.Struct):
    """`told` by benchmark in their order, but growth; what was not measured is empty."""

    machine: Machine
    told: dict[str, Told]
    peers: dict[str, PeerFigure]
    curves: Curves


def read_figures(raw: bytes) -> Figures:
    """Raises `NoFigures`."""
    try:
        found = msgspec.json.decode(raw, type=dict[str, dict[str, Any]])
        if "machine" not in found:
            raise NoFigures("it has no key machine")
        machine, growth = found.pop("machine"), found.pop("growth", {})
        peers = found.get("peers", {})
        return Figures(
            machine=msgspec.convert(machine, Machine),
            told=msgspec.convert(found, dict[str, Told]),
            peers=msgspec.convert(
                {name: figure for name, figure in peers.items() if name not in Told.__struct_fields__},
                dict[str, PeerFigure],
            ),
            curves=msgspec.convert(growth, Curves),
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoFigures(str(error)) from error
