"""A client that asks until it is answered: for the check after a round in which answers are lost to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from actors.client import AsyncOutreach
from actors.keyed import Key, KeyedAnswer
from engine.errors import ShardUnavailable

__all__ = ["PatientOutreach", "until_answered"]

PAUSE_S = 0.02

T = TypeVar("T")


async def until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Whatever the answer is, an error included, once there is one."""
    while True:
        try:
            return await ask()
        except ShardUnavailable:
            await asyncio.sleep(PAUSE_S)


class PatientOutreach:
    """What `told` asks of a client, whole."""

    def __init__(self, outreach: AsyncOutreach) -> None:
        self._outreach = outreach
        self.keyed = self
        """For the calls with a key are no others here."""

    async def send_body(self, key: Key, body: bytes) -> KeyedAnswer:
        return await until_answered(lambda: self._outreach.keyed.send_body(key, body))

    async def send_batch_body(self, key: Key, body: bytes) -> KeyedAnswer:
        while True:
            answer = await until_answered(lambda: self._outreach.keyed.send_batch_body(key, body))
            if "unavailable" not in msgspec.json.decode(answer.body)["counts"]:
                return answer

    async def message(self, message_id: str) -> dict[str, Any] | None:
        return await until_answered(lambda: self._outreach.message(message_id))

    async def status(self, campaign_id: str) -> dict[str, Any]:
        return await until_answered(lambda: self._outreach.status(campaign_id))
