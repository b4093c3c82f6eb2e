"""Gathering: single sends that arrive together go to their shard in one call.

There is no timer. What came while the last call ran goes next, so a lone send goes at once and a crowd shares
calls, the more the longer they take. What nobody waits for may make a pause between two calls, to share more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from engine.errors import MadanSaraError, Overloaded

__all__ = ["PARTS_MAX", "WAITING_MAX", "Call", "Gatherer"]

PARTS_MAX = 256
"""In one call, so that no call outlasts its timeout."""

WAITING_MAX = 2048
"""Beyond it a send is refused."""

Part = TypeVar("Part")
Answer = TypeVar("Answer")
Call = Callable[[list[Part]], Awaitable[Sequence[Answer | MadanSaraError]]]
"""Sends parts and returns what became of each, in order, or raises for all."""


class Gatherer(Generic[Part, Answer]):
    """The single sends of one client to one shard, or what else goes there one by one. Lives on one event loop."""

    def __init__(self, call: Call[Part, Answer], pause_s: float = 0.0) -> None:
        """`pause_s` passes after each call before the next."""
        self._call = call
        self._pause_s = pause_s
        self._waiting: deque[tuple[Part, asyncio.Future[Answer]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, part: Part) -> Answer:
        """The shard's answer to a part. Raises `Overloaded` at once if too many wait already."""
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(f"{WAITING_MAX:,} requests wait for one shard.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((part, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), PARTS_MAX)
                gathered = [self._waiting.popleft() for _ in range(count)]
                await self._send_together([one for one in gathered if not one[1].done()])
                if self._pause_s:
                    await asyncio.sleep(self._pause_s)
        finally:
            self._sending = None

    async def _send_together(self, gathered: list[tuple[Part, asyncio.Future[Answer]]]) -> None:
        outcomes: Sequence[Answer | Exception]
        try:
            outcomes = await self._call([part for part, _ in gathered])
        except Exception as error:
            outcomes = [error] * len(gathered)
        for (_, answer), outcome in zip(gathered, outcomes, strict=True):
            if answer.done():
                continue  # whoever asked has gone
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
