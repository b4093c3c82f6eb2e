"""What the benchmark of the peers knows of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """`does` is what it counts a second of; `lacks` says what the product does and it does not, as half a sentence.

    `measure` gives the rate of each repeat, its answers checked. It raises `AnswersWrong`, and `PeerMissing` where
    the peer is not on this machine.
    """

    does: str
    lacks: str
    measure: Callable[[], list[float]]


class PeerMissing(Exception):  # noqa: N818
    """The peer cannot be asked on this machine; the message says what to install."""
