"""Deduplicator: who a request means, and whether they had this message already.

The rule (contract, section 4, step 1): a recipient that has a message with the same `dedup_key` whose instant is
later than now − lookback is a duplicate; the key is the request's, else the campaign's, and campaigns that share
a key are checked across each other.

Admission looks every recipient up, merges what the request says of them and numbers the key. The check itself
runs in the walk through the rows (engine/src/deduplicator.rs), because a recipient's second row in a batch must
see the message of the first.
"""

from __future__ import annotations

from engine._core import Admission, Shard
from engine.errors import UnknownCampaign

__all__ = ["Deduplicator"]


class Deduplicator:
    """Admits parts to one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def admit(self, part: bytes, segments: int) -> Admission:
        """Steps 0 and 1 up to the check, and the candidate channels of step 2, in request order.

        `segments`: of an SMS to its recipients.
        Raises `UnknownCampaign` if the part's campaign was never put here; nothing is changed then.
        """
        try:
            return self._shard.admit(part, segments)
        except KeyError as unknown:
            raise UnknownCampaign(str(unknown.args[0])) from None
