"""Budget manager: money is a hard constraint, and every shard spends only from slices it holds.

The rule (contract, section 4, steps 4, 5 and 8): in the order of step 3, the first channel whose cost fits what is
left of the total, of its `per_channel` and of the `daily` budget on the campaign's local day of its instant; then
a message must be left of that day's `daily_messages`; then the cost is committed. Places of a minute (`per_minute`,
step 6) are slices, too.

The walk through the rows happens in the core (engine/src/budget_manager.rs has the balances). Where a row hangs on
money that the shard does not hold, the walk stops before it, the ledger is asked for what the rest may need, and
the walk goes on. While a shard waits for the ledger it holds nothing of that campaign, so two shards can never
wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from engine._core import Shard
from engine.errors import ShardUnavailable
from engine.preparation import Preparation
from engine.rules import Rules

__all__ = ["Bucket", "BudgetManager", "Grants", "Ledger", "Slice"]

Bucket = tuple[int, int]
"""(kind, key): (0, 0) total, (1, channel), (2, day) money of a local day, (3, day) messages of a local day, (4, minute)
messages in a UTC minute."""


class Slice(NamedTuple):
    """What was granted of a bucket."""

    amount: int
    last: bool
    """That is all there is, for anyone."""
    excess: int
    """How much more is committed than the limit allows, which has come down: what comes back makes up for it first."""


Grants = dict[Bucket, Slice]
"""What was granted of each bucket asked for."""


class Ledger(Protocol):
    """Who owns the limits."""

    def acquire(self, sequence: int, campaign_id: str, spent: dict[Bucket, int], needs: dict[Bucket, int]) -> Grants:
        """Takes back all that this shard held of a campaign, notes what it spent, and grants what it needs.

        A minute that `spent` leaves out is as it was reported before. Beyond the needs it may grant minutes.

        A repeated `sequence` gets the first answer again. A bucket granted less than asked must be the last of it.
        Raises `ShardUnavailable` if that cannot be known.
        """

    def elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        """What counts as spent or held on other shards. Raises `ShardUnavailable`."""


def _nothing() -> None:
    pass


class BudgetManager:
    """Spends for one shard."""

    def __init__(self, shard: Shard, ledger: Ledger) -> None:
        self._shard = shard
        self._ledger = ledger
        self.sequence = 0
        """Number of the last request for money; one that was not answered is never repeated under its number."""

    def commit(self, prepared: Preparation, before_asking: Callable[[], None] = _nothing) -> None:
        """Decides every row, asking the ledger where needed; if it cannot be asked, the rest is `unavailable`.

        `before_asking`: others may look at the shard while the ledger is asked, and write it down as it is then.
        """
        while needs := self._shard.commit(prepared.admission, *prepared.plan):
            before_asking()
            try:
                self.acquire(prepared.rules.id, needs)
            except ShardUnavailable:
                self._shard.abandon(prepared.admission)
                return

    def release(self, campaign_id: str, reopens: bool = True) -> dict[Bucket, int]:
        """Gives back all that is held of a campaign; what was spent of each bucket in all lives.

        Full minutes are forgotten only with `reopens`: a shard that waits for a minute's place, and forgot the full
        ones before it whenever another shard wants a slice, would ask for them again for ever.
        """
        return _by_bucket(self._shard.release(campaign_id, keep_full=not reopens))

    def release_all(self) -> dict[str, dict[Bucket, int]]:
        """As `release`, by campaign."""
        return {campaign_id: _by_bucket(spent) for campaign_id, spent in self._shard.release_all()}

    def elsewhere(self, rules: Rules) -> dict[Bucket, int] | None:
        """What other shards spent or hold of a campaign; None if the ledger does not answer. Without a limit nobody
        is asked."""
        if not (rules.limits_total or rules.limits_channels or rules.limits_daily or rules.limits_daily_messages):
            return {}
        try:
            return self._ledger.elsewhere(rules.id)
        except ShardUnavailable:
            return None

    def acquire(self, campaign_id: str, needs: list[tuple[int, int, int]]) -> None:
        """Gives back all that is held of a campaign, and takes what the ledger grants of (kind, key, amount).

        Raises `ShardUnavailable`; nothing is held then.
        """
        spent = _by_bucket(self._shard.release(campaign_id, keep_full=True))
        self.sequence += 1
        grants = self._ledger.acquire(self.sequence, campaign_id, spent, _by_bucket(needs))
        self._shard.grant(campaign_id, [(kind, key, *grant) for (kind, key), grant in grants.items()])


def _by_bucket(amounts: list[tuple[int, int, int]]) -> dict[Bucket, int]:
    return {(kind, key): amount for kind, key, amount in amounts}
