"""A lock that is handed on in the order in which it was asked for.

`threading.Lock` may give itself back to the thread that just let go, as often as it likes; a thread that decides
one part after the other would then keep the ledger waiting for a slice.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

__all__ = ["Turn"]


class Turn:
    """As `threading.Lock`, and fair."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def acquire(self) -> None:
        """Waits for one's turn."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            handed_on = threading.Event()
            self._waiting.append(handed_on)
        handed_on.wait()

    def release(self) -> None:
        """Hands the turn to the thread that has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
