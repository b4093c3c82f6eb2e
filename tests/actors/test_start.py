"""A cluster whose actors do not begin at the first try."""

from __future__ import annotations

from typing import Any

import pytest

from actors import cluster
from actors.answers import ActorUnreachable
from actors.cluster import Cluster
from engine.errors import ConfigurationError, ShardUnavailable, StateFault


class Actor:
    """Answers after so many refusals. The handle, its method and the reference are one."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.ping = self.had_spares = self

    def remote(self) -> Actor:
        return self


def answer(actor: Actor, *_: Any) -> bool:
    if actor.refusals:
        raise actor.refusals.pop(0)
    return True


def make_cluster(ledger: Actor, *shards: Actor) -> Cluster:
    made = Cluster.__new__(Cluster)
    made.ledger, made.shards, made.dispatcher = ledger, list(shards), None
    return made


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "wait_for_answer", answer)
    monkeypatch.setattr(cluster, "RESTART_PAUSE_S", 0.0)


def test_actors_that_died_as_they_started_are_waited_for() -> None:
    ledger = Actor(ActorUnreachable("The ledger is starting again."))
    shard = Actor(ActorUnreachable("It is starting again."), ShardUnavailable("Shard 0: cannot start: no ledger."))
    make_cluster(ledger, shard).wait()
    assert (ledger.refusals, shard.refusals) == ([], [])


def test_they_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "RESTART_TIMEOUT_S", 0.0)
    with pytest.raises(ActorUnreachable):
        make_cluster(Actor(ActorUnreachable("The ledger is starting again."))).wait()


@pytest.mark.parametrize("which", ["ledger", "shard"])
def test_a_file_that_cannot_be_used_is_refused_at_once(which: str) -> None:
    ledger, shard = Actor(), Actor()
    {"ledger": ledger, "shard": shard}[which].refusals += [StateFault("a.sqlite", None, "it is damaged", "Put it back")]
    with pytest.raises(ConfigurationError, match="it is damaged"):
        make_cluster(ledger, shard).wait()
