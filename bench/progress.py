"""The line that says what a benchmark is at while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.status import Status

__all__ = ["shown", "tell"]

_LINE: ContextVar[tuple[str, Status] | None] = ContextVar("line", default=None)


@contextmanager
def shown(console: Console, name: str) -> Iterator[None]:
    """Shows the line on a terminal as long as the context lasts."""
    with console.status(f"{name} …") as status:
        token = _LINE.set((name, status))
        try:
            yield
        finally:
            _LINE.reset(token)


def tell(what: str) -> None:
    """Puts into the line how far it is. Where none is shown, nobody hears it."""
    if (line := _LINE.get()) is not None:
        name, status = line
        status.update(f"{name} … {what}")
