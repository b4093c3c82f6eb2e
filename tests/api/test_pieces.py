"""A body in pieces is the body, however it came, and takes no more memory for coming in many."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from api.http_protocol import PIECE_BYTES_MIN, Pieces


@given(st.lists(st.binary(max_size=9) | st.integers(0, 255).map(lambda byte: bytes([byte]) * PIECE_BYTES_MIN)))
def test_pieces_are_put_together_in_order(given: list[bytes]) -> None:
    pieces = Pieces()
    for piece in given:
        pieces += piece
    assert bytes(pieces) == b"".join(given)
    assert len(pieces) == len(b"".join(given))


def test_a_large_piece_alone_is_not_copied() -> None:
    piece = bytes(PIECE_BYTES_MIN)
    pieces = Pieces()
    pieces += piece
    assert bytes(pieces) is piece


def test_small_pieces_are_not_kept_each() -> None:
    pieces = Pieces()
    for _ in range(10_000):
        pieces += b"a"
    assert sum(sys.getsizeof(kept) for kept in pieces.kept) < 20_000
