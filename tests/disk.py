"""A disk in memory for a shard in process: what it writes down, and the shard that is read from it again."""

from __future__ import annotations

from bench import disk
from engine.budget_manager import Ledger
from engine.local import Engine
from engine.orchestrator import Orchestrator

__all__ = ["Disk"]

INCARNATION = 1
SECRET = bytes(16)


class Disk:
    """What one shard of an engine wrote. Takes the shard's place with one that writes."""

    def __init__(self, engine: Engine, shard: int) -> None:
        self.engine = engine
        self.shard = shard
        self.written = disk.Disk()
        self._ledger: Ledger = engine.shards[shard].budget_manager._ledger
        engine.shards[shard] = self.read()

    def write(self) -> None:
        """Commits what changed since the last time."""
        self.written.write(self.engine.shards[self.shard])

    def read(self) -> Orchestrator:
        """A shard from what is written."""
        shard = Orchestrator(INCARNATION, self.engine.settings, self._ledger, SECRET)
        self.written.read_into(shard)
        return shard

    def crash(self) -> None:
        """The shard that is read takes the place of the one that wrote, as a new life does."""
        before, after = self.engine.shards[self.shard], self.read()
        after.budget_manager.sequence = before.budget_manager.sequence
        after.publish(before._figures)
        self.engine.shards[self.shard] = after
        campaigns = self.engine._campaigns.values()
        for campaign, paused in campaigns:
            after.put_campaign(campaign, paused)
        entries = self.engine.ledger._incarnations
        entries[self.shard] -= 1  # the shards of an engine in process have one life
        spent = {campaign.id: after.release(campaign.id) for campaign, _ in campaigns}
        for campaign_id in self.engine.ledger.register(self.shard, INCARNATION, spent):
            for shard in range(len(self.engine.shards)):
                self.engine.recall(shard, campaign_id)
