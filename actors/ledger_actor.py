"""The ledger as an actor of Ray: opens the state file, answers while that is done, and ends when it cannot be written.

Ray restarts it when its process ends, by whatever; `Ledger` then goes on where the file ends. The constructor never
raises, for Ray would keep the actor dead for good. A file that cannot be used as it is makes every answer
`ShardUnavailable` with what is wrong and what to do about it, until it can.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from actors.adapters.outbox import Outbox
from actors.group_commit import end_process
from actors.ledger import LEDGER_NAME, Ledger
from actors.ledger_file import LedgerFile
from actors.line import Line, open_line, place_of
from actors.line_frames import clock_as_bytes
from actors.shard_link import ActorLink
from actors.spare import Spares, is_actor, is_restarted
from actors.standing import Demand, Introduction, Registration, Standing
from actors.state_directory import outbox_path
from actors.timeouts import Timeouts
from engine.budget_manager import Bucket, Grants
from engine.errors import ShardUnavailable, StateFault
from engine.model import Campaign
from engine.settings import Settings

__all__ = ["LedgerActor"]

RETRY_PAUSE_S = 1.0
"""Between two tries to open the file, after one failed."""

logger = logging.getLogger("madan_sara.ledger")


class LedgerActor:
    """`Ledger` by its methods, once its file is open. `state_dir` of the settings must name a directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._next_try = 0.0
        self._is_closed = False
        self._line: Line | None = None
        self._opening = asyncio.create_task(self._open())
        self._spares = Spares(1 + settings.shards + settings.delivery.enabled) if is_actor() else None

    async def ping(self) -> bool:
        """Answers once the file is open. Raises its `StateFault`."""
        await self._ledger_or_fault()
        return True

    async def settings(self) -> Settings:
        """The configuration that this cluster was started with."""
        return self._settings

    async def secret(self) -> bytes:
        """The cluster's, 16 bytes."""
        return await (await self._ledger()).secret()

    async def forget(self, recipient_id: str) -> bool:
        """Where no dispatcher is to be asked: leaves nothing in the outbox that names a person; whether there was
        anything."""
        outbox = Outbox(outbox_path(Path(self._settings.state_dir)))
        try:
            return await outbox.forget(recipient_id)
        finally:
            await outbox.close()

    async def had_spares(self) -> bool:
        """Whether the first spare processes are there."""
        return self._spares is None or self._spares.were_there.is_set()

    async def close(self) -> None:
        """Lets go of the file; nothing is answered any more."""
        ledger = await self._ledger()
        self._is_closed = True
        if self._spares is not None:
            self._spares.end()
        if self._line is not None:
            self._line.close()
        await ledger.close()

    async def line(self) -> tuple[str, str] | None:
        """Where the line is that tells the manual clock; None if there is none."""
        await self._ledger()
        return place_of(self._line)

    # ---- see `Ledger` -----------------------------------------------------------------------------------

    async def introduce(self, shard: int) -> Introduction:
        return await (await self._ledger()).introduce(shard)

    async def register(self, shard: int, incarnation: int, spent: dict[str, dict[Bucket, int]]) -> Registration:
        return await (await self._ledger()).register(shard, incarnation, spent)

    async def acquire(self, demand: Demand) -> Grants:
        return await (await self._ledger()).acquire(demand)

    async def elsewhere(self, campaign_id: str, shard: int) -> dict[Bucket, int]:
        return await (await self._ledger()).elsewhere(campaign_id, shard)

    async def reopen(self, campaign_id: str) -> None:
        await (await self._ledger()).reopen(campaign_id)

    async def audit(self) -> list[str]:
        return await (await self._ledger()).audit()

    async def spent(self, campaign_id: str) -> dict[Bucket, int]:
        return await (await self._ledger()).spent(campaign_id)

    async def put_campaign(self, campaign: Campaign) -> None:
        await (await self._ledger()).put_campaign(campaign)

    async def set_paused(self, campaign_id: str, paused: bool) -> None:
        await (await self._ledger()).set_paused(campaign_id, paused)

    async def get_campaign(self, campaign_id: str) -> Standing:
        return await (await self._ledger()).get_campaign(campaign_id)

    async def list_campaigns(self) -> list[Standing]:
        return await (await self._ledger()).list_campaigns()

    async def now(self) -> int:
        return await (await self._ledger()).now()

    async def set_clock(self, now: int) -> None:
        await (await self._ledger()).set_clock(now)

    # ---- inside -----------------------------------------------------------------------------------------

    async def _ledger(self) -> Ledger:
        try:
            return await self._ledger_or_fault()
        except StateFault as fault:
            raise ShardUnavailable(f"The ledger cannot start. {fault.detail}") from None

    async def _ledger_or_fault(self) -> Ledger:
        if self._is_closed:
            raise ShardUnavailable("The ledger was told to end.")
        opening = self._opening
        if opening.done() and opening.exception() is not None and time.monotonic() >= self._next_try:
            opening = self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(opening)

    async def _open(self) -> Ledger:
        shards = self._settings.shards
        timeouts = Timeouts.of(self._settings)
        began = time.monotonic()
        first_life = not is_restarted()
        try:
            file = await LedgerFile.open(Path(self._settings.state_dir), shards, end_process, create=first_life)
        except StateFault as fault:
            logger.error("the ledger cannot start: %s", fault)
            self._next_try = time.monotonic() + RETRY_PAUSE_S
            raise
        if not first_life:
            logger.warning("the ledger begins again: its file was read in %.3f s", time.monotonic() - began)
        ledger = Ledger(self._settings, [ActorLink(index, timeouts) for index in range(shards)], file)
        if self._settings.clock == "manual":
            self._line = open_line(LEDGER_NAME, lambda _: self._tell_clock(ledger))
        return ledger

    def _tell_clock(self, ledger: Ledger) -> bytes:
        """On a thread of the line."""
        if self._is_closed:
            raise ConnectionResetError
        return clock_as_bytes(ledger.stands_at)
