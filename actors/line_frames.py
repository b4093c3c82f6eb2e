"""What goes over a line (`actors.line`): parts to a shard, and what became of each back; nothing to the ledger, and its
clock back.

A frame is its length, u32 in network order, and MessagePack. Parts are a list of (campaign id, columns). An outcome is
the bytes of an answer, or the name of an error of `engine.errors` and what it was made with. Nothing is pickled.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.standing import Part
from engine import errors
from engine.errors import MadanSaraError

__all__ = [
    "FRAME_BYTES_MAX",
    "HEAD",
    "WELCOME",
    "Decide",
    "clock_as_bytes",
    "clock_of",
    "decided",
    "frame",
    "outcomes_as_bytes",
    "outcomes_of",
    "parts_as_bytes",
    "parts_of",
]

HEAD = struct.Struct("!I")
"""How long a frame is, without this."""

FRAME_BYTES_MAX = 1 << 30
"""A longer one is none: the largest body makes parts of a tenth of it."""

WELCOME = HEAD.pack(0)
"""The first frame of a shard, an empty one: this connection is served."""

ERRORS: dict[str, type[MadanSaraError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, MadanSaraError) and kind.__module__ == errors.__name__
}

Decide = Callable[[list[Part]], Sequence[bytes | MadanSaraError]]
"""Returns once what it tells is durable. Raises `MadanSaraError` for all parts."""

Fault = tuple[str, list[Any]]

logger = logging.getLogger("madan_sara.line")

_encoder = msgspec.msgpack.Encoder()
_parts = msgspec.msgpack.Decoder(list[Part])
_outcomes = msgspec.msgpack.Decoder(list[bytes | Fault])
_clock = msgspec.msgpack.Decoder(int)


def frame(content: bytes) -> tuple[bytes, bytes]:
    """As it goes over the line, in two pieces: what is long is not copied for its head."""
    return HEAD.pack(len(content)), content


def parts_as_bytes(parts: Sequence[Part]) -> bytes:
    """What is to be decided."""
    return _encoder.encode(parts)


def parts_of(content: bytes) -> list[Part]:
    """Raises `msgspec.MsgspecError` for anything else."""
    return _parts.decode(content)


def outcomes_as_bytes(outcomes: Sequence[bytes | MadanSaraError]) -> bytes:
    """What became of each part, in order."""
    return _encoder.encode([_fault_of(one) if isinstance(one, MadanSaraError) else one for one in outcomes])


def outcomes_of(content: bytes | bytearray) -> list[bytes | MadanSaraError]:
    """Raises `msgspec.MsgspecError` for anything else."""
    return [one if isinstance(one, bytes) else _error_of(*one) for one in _outcomes.decode(content)]


def decided(decide: Decide, content: bytes) -> bytes:
    """The answer of a shard to such parts. Raises as `parts_of`."""
    parts = parts_of(content)
    try:
        return outcomes_as_bytes(decide(parts))
    except MadanSaraError as error:
        return outcomes_as_bytes([error] * len(parts))
    except Exception as error:
        logger.exception("a call of a line could not be answered")
        return outcomes_as_bytes([MadanSaraError(f"A fault of the server: {type(error).__name__}.")] * len(parts))


def clock_as_bytes(now: int) -> bytes:
    """Where the manual clock stands."""
    return _encoder.encode(now)


def clock_of(content: bytes | bytearray) -> int:
    """Raises `msgspec.MsgspecError` for anything else."""
    return _clock.decode(content)


def _fault_of(error: MadanSaraError) -> Fault:
    """By the nearest class that both sides know."""
    kind = next(kind for kind in type(error).__mro__ if ERRORS.get(kind.__name__) is kind)
    return kind.__name__, list(error.args) if kind is type(error) else [error.detail]


def _error_of(name: str, arguments: list[Any]) -> MadanSaraError:
    kind = ERRORS.get(name)
    if kind is None:
        raise msgspec.ValidationError(f"there is no error {name!r}")
    return kind(*arguments)
