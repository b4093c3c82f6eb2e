"""Publication: what shards learn from each other is gathered from all of them and told to all of them.

The rule (contract, section 4): once a minute under the system clock, and under the manual clock at each move of it,
before the move is answered. A shard that does not answer in time is spoken of in the log, counts with what it
reported last, and decides by what it was told last; nobody waits for it longer. One that begins a new life gets the
latest publication with its registration.

What each shard reported last is on the disk before anybody hears what was made of it. So a ledger's next life goes on
with the same figures under the same number, and publishes no worse ones while a shard is down: it asks nobody before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from actors.ledger_file import LedgerFile
from actors.shard_link import ShardLink
from actors.standing import Publication
from engine.learning import Learning
from engine.settings import Settings

__all__ = ["Publications"]

INTERVAL_S = 60.0

logger = logging.getLogger("madan_sara.ledger")


class Publications:
    """The publications of one ledger, one after the other. Lives on one event loop."""

    def __init__(self, settings: Settings, file: LedgerFile, links: Sequence[ShardLink], timeout_s: float) -> None:
        """`timeout_s`: for all shards to report, and again for all to hear."""
        self._learning = Learning(settings)
        self._file = file
        self._links = links
        self._timeout_s = timeout_s
        self._reports = file.reports
        self._one = asyncio.Lock()
        last = file.publication
        self.latest = Publication(last.number, self._learning.figures(self._reports, last.now))

    async def publish(self, now: int) -> None:
        """Publishes what is known at `now`. Never raises because of a shard."""
        async with self._one:
            reports = await self._ask_all("report", lambda link: link.learned(now))
            self._reports = [last if new is None else new for new, last in zip(reports, self._reports, strict=True)]
            publication = Publication(self.latest.number + 1, self._learning.figures(self._reports, now))
            self._file.put_publication(publication.number, now, self._reports)
            await self._file.durable()
            self.latest = publication
            await self._ask_all("hear", lambda link: link.publish(publication))

    async def publish_for_ever(self, now: Callable[[], int], pause: Callable[[float], Awaitable[object]]) -> NoReturn:
        """Publishes once a minute, whatever happens."""
        while True:
            await pause(INTERVAL_S)
            try:
                await self.publish(now())
            except Exception:
                logger.exception("what was learned could not be published")

    async def _ask_all(self, what: str, call: Callable[[ShardLink], Awaitable[Any]]) -> list[Any]:
        """What each shard answers; None where it does not, or not in time."""

        async def timely(link: ShardLink) -> Any:  # no call is made before it is waited for
            async with asyncio.timeout(self._timeout_s):
                return await call(link)

        answers = await asyncio.gather(*map(timely, self._links), return_exceptions=True)
        for shard, answer in enumerate(answers):
            if isinstance(answer, Exception):
                late = isinstance(answer, TimeoutError)
                reason = f"no answer within {self._timeout_s:g} s" if late else answer
                logger.warning("shard %d does not %s what was learned: %s", shard, what, reason)
        return [None if isinstance(answer, BaseException) else answer for answer in answers]
