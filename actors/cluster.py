"""Starting and joining a cluster: one ledger and N shards, as named actors in Ray.

What they know outlives them in the state directory. Ray restarts each of them, on the node that has the directory.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.adapters.choice import adapters_by_channel
from actors.adapters.outbox import Outbox
from actors.answers import wait_for_answer
from actors.client import AsyncOutreach
from actors.dispatcher import DISPATCHER_NAME, Dispatcher
from actors.ledger import LEDGER_NAME
from actors.ledger_actor import LedgerActor
from actors.machine import (
    SYSTEM_CONFIG,
    bind_to_loopback,
    found_cluster,
    lead_workers_here,
    offer_token,
    require_token,
)
from actors.shard import Shard
from actors.shard_link import NAMESPACE, shard_name
from actors.state_directory import make_directory
from actors.timeouts import START_TIMEOUT_S
from engine.delivery_config import without_credentials
from engine.errors import ConfigurationError, ShardUnavailable, StateFault
from engine.settings import Settings

__all__ = ["Cluster", "join", "running", "start"]

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 512 * 1024 * 1024
"""Of a local cluster: a few dozen batches under way. The memory is used only once it is written."""

RESTART_TIMEOUT_S = 10.0
"""For an actor that does not begin at the first try."""

RESTART_PAUSE_S = 0.5
SPARES_TIMEOUT_S = 15.0
SPARES_PAUSE_S = 0.1
JOIN_TIMEOUT_S = 10.0
DISPATCHER_END_TIMEOUT_S = 2.0
END_TIMEOUT_S = 3.5
PROBE_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 1.0
"""For the ledger to let go of its file; it is as safe without."""

CALLS_AT_ONCE = 32
"""Of clients to a shard."""


class Cluster:
    """The actors that this process started."""

    def __init__(self, settings: Settings, owns_ray: bool) -> None:
        """Without a `state_dir` the state lies in a temporary directory that goes with the cluster. Raises
        `ConfigurationError` if the state directory cannot be made, or an adapter does not take its settings."""
        self._owns_ray = owns_ray
        adapters_by_channel(
            settings, Outbox(Path())
        )  # what an adapter does not take stops the start, and not the dispatcher
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if not settings.state_dir:
            # An actor that was killed may still write: what it leaves is for the system to remove.
            self._temporary = tempfile.TemporaryDirectory(prefix="madan-sara-", ignore_cleanup_errors=True)
        directory = Path(self._temporary.name if self._temporary else settings.state_dir).expanduser().absolute()
        make_directory(directory)
        settings = msgspec.structs.replace(settings, state_dir=str(directory))
        self.settings = without_credentials(settings)
        self.ledger = _ledger_options().remote(self.settings)
        self.shards = [_shard_options(index).remote(index, self.settings) for index in range(settings.shards)]
        self.dispatcher = _dispatcher_options().remote(settings) if settings.delivery.enabled else None

    def wait(self) -> None:
        """Waits until every actor answers. Raises `ConfigurationError` if the state directory cannot be used."""
        try:
            _wait_for(self.ledger, LEDGER_NAME)
            for index, shard in enumerate(self.shards):
                _wait_for(shard, shard_name(index))
            if self.dispatcher is not None:
                _wait_for(self.dispatcher, DISPATCHER_NAME)
            self._wait_for_spares()
        except StateFault as fault:
            raise ConfigurationError("state_dir", f"takes a directory that can be used. {fault.detail}") from None

    def _wait_for_spares(self) -> None:
        """As long as that takes usually: without them all goes on, too."""
        deadline = time.monotonic() + SPARES_TIMEOUT_S
        with suppress(ShardUnavailable):
            while time.monotonic() < deadline:
                if wait_for_answer(self.ledger.had_spares.remote(), LEDGER_NAME, SPARES_TIMEOUT_S):
                    return
                time.sleep(SPARES_PAUSE_S)

    @property
    def address(self) -> str:
        """HOST:PORT at which others join."""
        address: str = ray.get_runtime_context().gcs_address
        return address

    def client(self) -> AsyncOutreach:
        """A client; each lives on one event loop."""
        return AsyncOutreach(self.ledger, self.shards, self.settings, self.dispatcher, by_line=True)

    def stop(self) -> None:
        """Has the actors write everything down and ends them, and Ray if it was started with them."""
        if self.dispatcher is not None:
            with suppress(ShardUnavailable):
                wait_for_answer(self.dispatcher.end.remote(), DISPATCHER_NAME, DISPATCHER_END_TIMEOUT_S)
            ray.kill(self.dispatcher)
        _, late = ray.wait(
            [shard.end.remote() for shard in self.shards], num_returns=len(self.shards), timeout=END_TIMEOUT_S
        )
        if late:
            logger.warning("%d shards did not end in time; what they answered is on the disk all the same", len(late))
        for shard in self.shards:
            ray.kill(shard)
        with suppress(ShardUnavailable):
            wait_for_answer(self.ledger.close.remote(), LEDGER_NAME, CLOSE_TIMEOUT_S)
        ray.kill(self.ledger)
        if self._owns_ray:
            ray.shutdown()
        if self._temporary is not None:
            self._temporary.cleanup()


def start(settings: Settings, address: str = "local") -> Cluster:
    """Starts a ledger and `settings.shards` shards, and waits until they answer.

    `address`: `local` (a Ray of its own on loopback, which ends with it), `auto` (the Ray of this machine) or
    HOST:PORT. Raises `ConfigurationError` if there is none, if it runs a Madan Sara already, or if the state directory
    cannot be used. Without a `state_dir` there is one as long as the cluster lasts.
    """
    owns_ray = _connect(address)
    if _named(LEDGER_NAME) is not None:
        raise ConfigurationError("address", "takes a Ray cluster in which no Madan Sara runs yet")
    cluster = Cluster(settings, owns_ray)
    try:
        cluster.wait()
    except (ShardUnavailable, ConfigurationError):
        cluster.stop()
        raise
    return cluster


@contextmanager
def running(settings: Settings, address: str = "local") -> Iterator[Cluster]:
    """A started cluster, as long as the context lasts. Raises as `start`.

    Starting blocks for seconds, so it wants to happen before an event loop runs. Whatever interrupts it, no Ray that
    was started here is left behind.
    """
    logger.info("starting %d shards", settings.shards)
    began_ray = address == "local" and not ray.is_initialized()
    try:
        cluster = start(settings, address)
    except BaseException:
        if began_ray:
            ray.shutdown()
        raise
    logger.info("other processes join this cluster at %s", cluster.address)
    try:
        yield cluster
    finally:
        cluster.stop()


def join(address: str = "auto") -> AsyncOutreach:
    """A client of a cluster that another process started. Raises `ConfigurationError` if there is none."""
    _connect(address)
    ledger = _named(LEDGER_NAME)
    if ledger is None:
        raise ConfigurationError("address", "takes a Ray cluster in which a Madan Sara runs")
    settings: Settings = wait_for_answer(ledger.settings.remote(), LEDGER_NAME, JOIN_TIMEOUT_S)
    shards = [_named(shard_name(index)) for index in range(settings.shards)]
    return AsyncOutreach(ledger, shards, settings, _named(DISPATCHER_NAME), by_line=True)


def _wait_for(actor: Any, name: str) -> None:
    """Waits until it answers. One that died as it started, or whose call was lost, is asked again for a while: it
    begins again by itself. Raises the `StateFault` of its file at once."""
    first_refusal = None
    while True:
        try:
            wait_for_answer(actor.ping.remote(), name, START_TIMEOUT_S)
        except ShardUnavailable:
            first_refusal = first_refusal or time.monotonic()
            if time.monotonic() >= first_refusal + RESTART_TIMEOUT_S:
                raise
            time.sleep(RESTART_PAUSE_S)
        else:
            return


def _connect(address: str) -> bool:
    """Brings Ray up in this process; whether it was started here."""
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {
        "namespace": NAMESPACE,
        "logging_level": logging.ERROR,
    }
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        require_token()
        bind_to_loopback()
        lead_workers_here()
        own: dict[str, Any] = {"object_store_memory": OBJECT_STORE_BYTES, "_system_config": SYSTEM_CONFIG}
        ray.init(address="local", include_dashboard=False, **own, **quiet)
        return True
    offer_token()
    found = found_cluster(address)
    if found is None:
        raise ConfigurationError("address", "takes auto only where a Ray cluster runs on this machine")
    try:
        _probe(found)
        ray.init(address=found, **quiet)
    except (OSError, ValueError):
        raise ConfigurationError("address", "takes local, auto, or HOST:PORT of a Ray that runs") from None
    return False


def _probe(address: str) -> None:
    """Raises OSError or ValueError if nobody listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=PROBE_TIMEOUT_S).close()


def _ledger_options() -> Any:
    actor: Any = ray.remote(LedgerActor)
    return actor.options(name=LEDGER_NAME, **_options())


def _shard_options(index: int) -> Any:
    decorate: Any = ray.remote
    # Calls take turns at working, and wait for their commits beside each other.
    actor = decorate(concurrency_groups={"ledger": 1}, max_concurrency=CALLS_AT_ONCE)(Shard)
    return actor.options(name=shard_name(index), **_options())


def _dispatcher_options() -> Any:
    actor: Any = ray.remote(Dispatcher)
    return actor.options(name=DISPATCHER_NAME, **_options())


def _options() -> dict[str, Any]:
    """Of every actor: on this node, where the state directory is; restarted, and no call repeated. Without a CPU of its
    own: a small machine runs many."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    restarts = {"max_restarts": -1, "max_task_retries": 0}
    return {"namespace": NAMESPACE, "num_cpus": 0, "scheduling_strategy": here, **restarts}


def _named(name: str) -> Any:
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError:
        return None
