"""A line: a socket on which an actor answers its most frequent call for clients of the same machine, past Ray.

A call of Ray's takes 1.7 ms of processor time on eight threads of two processes, which is more than to decide and to
write down ten single sends; over a line it takes a fifth. What is answered, and when, is the same either way:
`Shard.decide`, and the ledger's `now`, which every request under a manual clock asks for. All other calls are Ray's, as
are these where there is no line: for clients on another node, or of another user, and when too many have one.

The socket's name is abstract (unix(7)), so nothing is left on the disk; it is drawn anew by each process and told by
the actor, so a client cannot take one shard for another, nor this life's process for the last one's. Whoever connects
must be the same user.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import msgspec
import ray

from actors.line_frames import FRAME_BYTES_MAX, HEAD, WELCOME, frame

__all__ = ["CONNECTIONS_MAX", "Answer", "Line", "open_line", "place_of"]

CONNECTIONS_MAX = 512
"""Of all clients to an actor, each with a thread of its own."""

ACCEPT_PAUSE_S = 0.1
"""Without a file descriptor for one more."""

CREDENTIALS = struct.Struct("iII")
"""Of the other end: process, user, group."""

Answer = Callable[[bytes], bytes]
"""The answer to a call, once what it tells is durable. Raises `MsgspecError` for what is no call, and OSError where
the line is to end without an answer."""

logger = logging.getLogger("madan_sara.line")


class Line:
    """Of one actor. A thread accepts; each connection has a thread that answers one call after the other."""

    def __init__(self, answer: Answer) -> None:
        """Raises OSError where the system has no such sockets."""
        self.name = f"\0madan-sara-{secrets.token_hex(16)}"
        self._answer = answer
        self._has_ended = False
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(self.name)
            self._socket.listen(CONNECTIONS_MAX)
        except OSError:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._accept, name="line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accepts no more. Connections that there are go on."""
        if not self._has_ended:
            self._has_ended = True
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing would not

    def _accept(self) -> None:
        with self._socket:
            while not self._has_ended:
                try:
                    connection, _ = self._socket.accept()
                    self._begin_to_serve(connection)
                except (OSError, RuntimeError) as error:  # RuntimeError: there can be no more threads
                    if not self._has_ended:
                        logger.warning("a line could not be accepted: %s", error)
                        time.sleep(ACCEPT_PAUSE_S)

    def _begin_to_serve(self, connection: socket.socket) -> None:
        """Or closes it without a welcome: the client goes by Ray."""
        with ExitStack() as refused:
            refused.callback(connection.close)
            if is_ours(connection) and self._free.acquire(blocking=False):
                refused.callback(self._free.release)
                threading.Thread(target=self._serve, args=(connection,), name="line", daemon=True).start()
                refused.pop_all()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.sendall(WELCOME)
                while (content := received(connection)) is not None:
                    send(connection, frame(self._answer(content)))
        except OSError:
            pass  # the client has gone; what was decided stays decided
        except msgspec.MsgspecError as error:
            logger.error("a line ends, since what came over it is no call: %s", error)
        finally:
            self._free.release()


def open_line(who: str, answer: Answer) -> Line | None:
    """The line of an actor; None where the system has no such sockets."""
    try:
        return Line(answer)
    except OSError as error:
        logger.warning("%s has no line, so all its calls go by Ray: %s", who, error)
        return None


def place_of(line: Line | None) -> tuple[str, str] | None:
    """The node that an actor runs on and the name of its line, which clients ask it for; None if it has none."""
    return (ray.get_runtime_context().get_node_id(), line.name) if line else None


def is_ours(connection: socket.socket) -> bool:
    """Whether the same user is at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, user, _ = CREDENTIALS.unpack(raw)
    return bool(user == os.geteuid())


def send(connection: socket.socket, pieces: tuple[bytes, bytes]) -> None:
    """All of a frame, mostly in one call of the system's."""
    sent = connection.sendmsg(pieces)
    for piece in pieces:
        if sent < len(piece):
            connection.sendall(memoryview(piece)[sent:])
        sent = max(0, sent - len(piece))


def received(connection: socket.socket) -> bytes | None:
    """The content of the next frame; None where the other end has closed before it."""
    head = _whole(connection, HEAD.size)
    if head is None:
        return None
    (size,) = HEAD.unpack(head)
    if size > FRAME_BYTES_MAX:
        raise msgspec.ValidationError(f"a frame of {size} bytes is too long")
    return _whole(connection, size)


def _whole(connection: socket.socket, size: int) -> bytes | None:
    """So many bytes, mostly in one call of the system's, into memory that nobody clears for it."""
    content = connection.recv(size, socket.MSG_WAITALL)
    while len(content) < size:
        more = connection.recv(size - len(content), socket.MSG_WAITALL)
        if not more:
            return None
        content += more
    return content
