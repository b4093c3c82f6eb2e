"""What is sent over a line arrives whole and in order, however little of it the socket takes at once."""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from actors.line import send

SENT = random.Random(7).randbytes(600_000)
PATIENCE_S = 30.0
PAUSE_S = 0.001


@contextmanager
def pair(timeout_s: float | None = PATIENCE_S) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A sending end with room for little, which a call gives up waiting for after a while, and the other end."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with near, far:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        near.settimeout(timeout_s)
        far.settimeout(PATIENCE_S)
        yield near, far


@pytest.fixture(scope="module")
def room() -> int:
    """How much such a socket takes at once."""
    with pair() as (near, _):
        taken = near.sendmsg([SENT])
    assert 0 < taken < len(SENT) // 10
    return taken


def arrived(timeout_s: float | None, pieces: tuple[bytes, bytes], room: int, stuck: Callable[[], None]) -> bytes:
    """What comes out at the other end, where nothing is taken before there is no room left; `stuck` is called then."""
    came: list[bytes] = []

    def take() -> None:
        while len(far.recv(len(SENT), socket.MSG_PEEK)) < room:
            time.sleep(PAUSE_S)
        stuck()
        while piece := far.recv(65_536):
            came.append(piece)

    with pair(timeout_s) as (near, far):
        taking = threading.Thread(target=take)
        taking.start()
        send(near, pieces)
        near.shutdown(socket.SHUT_WR)
        taking.join(PATIENCE_S)
        assert not taking.is_alive()
    return b"".join(came)


CUTS: dict[str, Callable[[int], int]] = {
    "no first piece": lambda room: 0,
    "a head": lambda room: 4,
    "a byte of the second": lambda room: room - 1,
    "the first and no more": lambda room: room,
    "all but a byte of the first": lambda room: room + 1,
    "less than half of the first": lambda room: len(SENT) // 2,
    "no second piece": lambda room: len(SENT),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_the_rest_of_what_the_socket_took_in_part_follows(room: int, cut: Callable[[int], int]) -> None:
    pieces = SENT[: cut(room)], SENT[cut(room) :]
    assert arrived(PATIENCE_S, pieces, room, lambda: None) == SENT


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_signal_that_ends_the_wait_for_room_ends_nothing_else(room: int, cut: Callable[[int], int]) -> None:
    """As on a line, whose sockets wait for ever: the system then says how much it took before."""
    sender, signalled = threading.get_ident(), threading.Event()

    def signal_sender() -> None:
        signal.pthread_kill(sender, signal.SIGUSR1)
        assert signalled.wait(PATIENCE_S)

    before = signal.signal(signal.SIGUSR1, lambda *_: signalled.set())
    try:
        pieces = SENT[: cut(room)], SENT[cut(room) :]
        assert arrived(None, pieces, room, signal_sender) == SENT
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_has_room_goes_at_once() -> None:
    with pair() as (near, far):
        send(near, (b"head", b"content"))
        assert far.recv(100) == b"headcontent"
