"""Accepting connections, all that wait at once.

The event loop's own servers accept one connection each time round (libuv does since 1.45). A loop that is busy goes
round a few dozen times a second, so under overload connections waited in the system's queue, where nothing refuses
them, and were reset once that was full.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

__all__ = ["Acceptor"]

AT_ONCE = 64
"""Connections, before those that are there have their turn."""

PAUSE_S = 0.1
"""Without a file descriptor for one more."""

logger = logging.getLogger("madan_sara.api")


class Acceptor:
    """Of one listening socket that does not block, on the running event loop."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[object]] = set()
        self._begin()

    def _begin(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.warning("no connection can be accepted: %s", error)
                self.stop()
                self._pause = self._loop.call_later(PAUSE_S, self._begin)
                return
            connection.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(
                self._loop.connect_accepted_socket(self._protocol, connection)
            )
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def opened(self) -> None:
        """Waits until what was accepted is open, or failed to."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def stop(self) -> None:
        """Accepts no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
