"""A server that writes nothing down, to compare with: what durability costs is what is faster here.

Nobody can ask the product for this. The comparison starts the same command line with other actors in it, whose
commits are done when they are asked for, and never happen.
"""

from __future__ import annotations

from actors import cluster, durable_map, group_commit
from actors.ledger_actor import LedgerActor
from actors.shard import Shard
from api.cli import main
from bench.server import Server
from engine.settings import Settings

__all__ = ["ForgetfulServer", "serve"]


class NoCommits:
    """In the place of `actors.group_commit.GroupCommit`."""

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> None:
        """There is nothing to begin."""

    def mark(self) -> int:
        """As if it were written already."""
        return 0

    def wait(self, ticket: int | None = None) -> None:
        """Returns at once, as does `durable`."""

    async def durable(self, ticket: int | None = None) -> None:
        """See `wait`."""

    async def close(self) -> None:
        """There is nothing to end."""


class ForgetfulShard(Shard):
    """In a process of its own, where nothing else commits."""

    def __init__(self, index: int, settings: Settings) -> None:
        group_commit.GroupCommit = NoCommits  # type: ignore[assignment,misc]
        super().__init__(index, settings)


class ForgetfulLedger(LedgerActor):
    """As the shards."""

    def __init__(self, settings: Settings) -> None:
        durable_map.GroupCommit = NoCommits  # type: ignore[assignment,attr-defined]
        super().__init__(settings)


class ForgetfulServer(Server):
    """Its process."""

    command = ("-c", f"from {__name__} import serve; serve()")


def serve() -> None:
    """The command line, with actors that forget."""
    cluster.Shard, cluster.LedgerActor = ForgetfulShard, ForgetfulLedger  # type: ignore[attr-defined]
    main()
