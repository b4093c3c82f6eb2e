"""The ledger as a shard sees it: asking for money, and the gate that keeps a recall from overtaking a grant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actors.answers import ActorUnreachable
from actors.standing import Demand
from actors.timeouts import ACQUIRE_ATTEMPTS
from actors.turn import Turn
from engine.budget_manager import Bucket, Grants
from engine.errors import ShardUnavailable
from engine.ledger import Superseded

__all__ = ["Ask", "LedgerLink"]


Ask = Callable[[Demand], Grants]
"""One call of the ledger's `acquire`; raises `ActorUnreachable` where no answer came."""


class LedgerLink:
    """What the shard's budget manager asks (`engine.budget_manager.Ledger`).

    The thread that decides holds the shard's turn, and lends it out while it waits here: it has given back all it
    held of the campaign, so the ledger may recall what it likes meanwhile. A recall names the last grant it knows
    of; until that has arrived here the ledger's word is ahead of ours, and `wait_until_granted` waits.
    """

    def __init__(
        self,
        shard: int,
        turn: Turn,
        ask: Ask,
        ask_elsewhere: Callable[[str], dict[Bucket, int]],
        wait_for_give_backs: Callable[[], None],
        on_superseded: Callable[[], None],
    ) -> None:
        self.versions: dict[str, int] = {}
        """By which version of each campaign this shard decides."""
        self._shard = shard
        self.incarnation = 0
        """Of the life that asks."""
        self._turn = turn
        self._ask = ask
        self._ask_elsewhere = ask_elsewhere
        self._wait_for_give_backs = wait_for_give_backs
        self._on_superseded = on_superseded
        self._arrived: dict[str, int] = {}
        self._words = 0
        self._in_vain: set[str] | None = None
        """Within `one_wait_each`: campaigns whose money was waited for in vain."""
        self._arrival = threading.Condition()

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        """See `engine.budget_manager.Ledger`. A request without an answer is given up for good: an answer that
        comes late is never spent."""
        if self._in_vain is not None and campaign_id in self._in_vain:
            raise ShardUnavailable(f"The ledger was asked for money of {campaign_id!r} a moment ago, in vain.")
        version, word = self.versions[campaign_id], self.next_word()
        demand = Demand(self._shard, self.incarnation, sequence, version, campaign_id, spent, needs, word)
        self._turn.release()
        try:
            self._wait_for_give_backs()
            return self._ask_again(demand)
        except ShardUnavailable:
            if self._in_vain is not None:
                self._in_vain.add(campaign_id)
            raise
        finally:
            self._turn.acquire()
            with self._arrival:
                self._arrived[campaign_id] = sequence
                self._arrival.notify_all()

    def next_word(self) -> int:
        """The number of what is said next of money that was spent. With the turn, as long as that is true."""
        self._words += 1
        return self._words

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        """See `engine.budget_manager.Ledger`. Nothing waits for this shard meanwhile, so it keeps its turn."""
        if self._in_vain is not None and campaign_id in self._in_vain:
            raise ShardUnavailable(f"The ledger was asked for money of {campaign_id!r} a moment ago, in vain.")
        try:
            return self._ask_elsewhere(campaign_id)
        except ShardUnavailable:
            if self._in_vain is not None:
                self._in_vain.add(campaign_id)
            raise

    @contextmanager
    def one_wait_each(self) -> Iterator[None]:
        """Within it each campaign is waited for in vain once: many parts in one call do not outlast their callers."""
        self._in_vain = set()
        try:
            yield
        finally:
            self._in_vain = None

    def wait_until_granted(self, campaign_id: str, sequence: int, timeout_s: float) -> None:
        """Waits until the grant `sequence` has arrived or was given up. Its thread must not have the turn."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: self._arrived.get(campaign_id, 0) >= sequence, timeout_s):
                raise ShardUnavailable(f"Grant {sequence} of {campaign_id!r} is still on its way.")

    def _ask_again(self, demand: Demand) -> Grants:
        for attempt in range(1, ACQUIRE_ATTEMPTS + 1):
            try:
                return self._ask(demand)
            except ActorUnreachable:
                if attempt == ACQUIRE_ATTEMPTS:
                    raise
            except Superseded as error:
                self._on_superseded()
                raise ShardUnavailable(error.detail) from None
        raise AssertionError("ACQUIRE_ATTEMPTS is at least 1")
