"""What a worker process of Ray imports before it is told what to become: all that a shard or the ledger needs.

Only Ray imports this (see `actors.machine`). A process that waits, see `actors.spare`, has then done what takes a
second of a shard's start: importing numba, loading the kernels, building the zone tables.
"""

import gc

from actors import dispatcher, ledger_actor, shard
from kernels import warm_up

__all__ = ["dispatcher", "ledger_actor", "shard"]

warm_up()
# All this stays: collections of garbage would look at it again and again, while everybody waits.
gc.collect()
gc.freeze()
