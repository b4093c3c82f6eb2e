"""A request's line and headers are bounded, before any key is asked for."""

from __future__ import annotations

import socket

import pytest

from tests.api.front import Front


@pytest.mark.parametrize("head", [b"GET /", b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_a_head_without_end_is_refused(default_front: Front, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", default_front.port), timeout=20) as connection:
        connection.sendall(head)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _send_without_end(connection)


def _send_without_end(connection: socket.socket) -> None:
    for _ in range(1000):
        connection.sendall(b"a" * 65_536)
