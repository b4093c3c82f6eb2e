"""A disk in memory: what a shard in process writes down, and is read from again."""

from __future__ import annotations

from engine.orchestrator import Orchestrator

__all__ = ["Disk"]


class Disk:
    """What a state file would have: the last image of each page, and the journal as far as it is needed."""

    def __init__(self) -> None:
        self._pages: dict[int, tuple[int, bytes]] = {}
        self._rows: dict[int, bytes] = {}
        self.sequence = 0

    def write(self, core: Orchestrator) -> None:
        """What has changed, as one commit has it."""
        group = core.take_group(self.sequence + 1)
        if group is None:
            return
        effects, pages, keep_from = group
        self.sequence += 1
        self._pages.update({number: (self.sequence, page) for number, page in pages})
        self._rows[self.sequence] = effects
        self._rows = {sequence: row for sequence, row in self._rows.items() if sequence >= keep_from}

    def read_into(self, core: Orchestrator) -> None:
        """As a shard does that starts again."""
        for number, (sequence, page) in sorted(self._pages.items()):
            core.load_page(number, sequence, page)
        for sequence, row in sorted(self._rows.items()):
            core.load_group(sequence, row)
        core.end_load()
