"""Rehearsal: a dry run on one shard.

The rule (contract, section 5): a dry run decides everything and changes nothing, and the same request sent for real
at the same clock gets the same decisions.

So the very same walk runs on the shard's own state, and all that it changed is put back (engine/src/rehearsal.rs).
Where it hangs on money that only the ledger knows, everything is put back first: what a rehearsal spent must never be
reported, and a slice may be recalled while the ledger is waited for. Then the ledger is asked for what the whole walk
needs, as far as is known, and the walk begins again at its first row. What is granted is a slice like any other: it
stays here until somebody needs it.

A dry run over several shards takes them one after the other. Each is told what was spent before, so that no more of a
budget is promised than there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count

from engine._core import Shard
from engine.budget_manager import Bucket, BudgetManager
from engine.errors import ShardUnavailable
from engine.preparation import Preparation

__all__ = ["Rehearsals", "Taken"]

Taken = Mapping[Bucket, int]
"""What a dry run would have spent so far of each bucket with a limit; less than nothing where it would free more."""

ROUNDS_MAX = 32
"""How often a walk begins again, beside once for each of its rows: of full minutes every round may find but a few.
Each round asks for twice as much beyond its need as the one before: soon all that there is."""

DOUBLINGS_MAX = 15

AMOUNT_MAX = 2**63 - 1

Amounts = list[tuple[int, int, int]]


class Rehearsals:
    """The dry runs of one shard."""

    def __init__(self, shard: Shard, budget_manager: BudgetManager) -> None:
        self._shard = shard
        self._budget_manager = budget_manager

    def run(self, taken: Taken, prepare: Callable[[], Preparation]) -> tuple[Preparation, Taken]:
        """Decides what `prepare` prepares, as often as it takes; what is taken afterwards.

        If the ledger cannot be asked the rest is `unavailable`. Nothing is changed but which slices are held here.
        """
        for attempt in count():
            with self._rehearsal():
                prepared = prepare()
                admission = prepared.admission
                self._shard.lay_out(admission, _rows(taken))
                rest = self._shard.commit(admission, *prepared.plan)
                spent = self._shard.rehearsal_spent(admission)
                needs = [] if rest is None else self._shard.rehearsal_needs(admission, rest)
            admission.detach()
            if rest is None or attempt >= ROUNDS_MAX + len(admission):
                break
            try:
                self._budget_manager.acquire(admission.campaign_id, _asked(needs, attempt))
            except ShardUnavailable:
                break
        self._shard.abandon(admission)
        total = Counter(taken)
        total.update({(kind, key): amount for kind, key, amount in spent})
        return prepared, dict(total)

    @contextmanager
    def _rehearsal(self) -> Iterator[None]:
        self._shard.begin_rehearsal()
        try:
            yield
        finally:
            self._shard.end_rehearsal()


def _asked(needs: Amounts, attempt: int) -> Amounts:
    return [(kind, key, amount << min(attempt, DOUBLINGS_MAX)) for kind, key, amount in needs]


def _rows(amounts: Taken) -> Amounts:
    return [(*bucket, max(-AMOUNT_MAX, min(amount, AMOUNT_MAX))) for bucket, amount in amounts.items()]
