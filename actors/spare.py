"""Spare processes: those that wait until a shard or the ledger is killed, and then become its next life.

Without one, Ray first starts a Python process, which takes two seconds with all that it imports. Ray gives an
actor that begins again an idle process that never did anything; it starts one where its node is asked to prestart a
worker. That call has no place in Ray's Python API; it was there in 2.60. Where it fails, all goes on, and the next
life of an actor takes two seconds longer.

One waits for each actor, so that all may end at once. The ledger sees to it. The first ones start with the cluster,
which is not ready before: a start takes a core for two seconds, and would keep the first requests waiting. Later one
starts at a time, some seconds after it is missed: whoever has taken it comes first.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc  # type: ignore[import-untyped]
import psutil
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated.common_pb2 import Language  # type: ignore[attr-defined]
from ray.core.generated.node_manager_pb2 import PrestartWorkersRequest  # type: ignore[attr-defined]
from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning

__all__ = ["Spares", "is_actor", "is_restarted"]

KEPT_S = 2**31 - 1
TIMEOUT_S = 5.0

LOOK_PAUSE_S = 3.0
"""From one look to the next."""

START_PAUSE_S = 0.25
"""The same while a cluster starts."""

logger = logging.getLogger(__name__)


class Spares:
    """Keeps so many of them beside this process, which must be one of Ray's, until `end`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._ends = threading.Event()
        self.were_there = threading.Event()
        """Set once there were so many, or could be none."""
        threading.Thread(target=self._keep, name="spares", daemon=True).start()

    def _keep(self) -> None:
        if not is_restarted():
            while not self.were_there.is_set() and not self._ends.wait(START_PAUSE_S):
                self._look(starts_at_once=os.cpu_count() or 1)
        while not self._ends.wait(LOOK_PAUSE_S):
            self._look(starts_at_once=1)

    def _look(self, starts_at_once: int) -> None:
        waiting = list(spares_beside())
        starting = sum(1 for has_started in waiting if not has_started)
        can_be_more = True
        if len(waiting) < self._count and starting < starts_at_once:
            can_be_more = start_spare()
        if len(waiting) - starting >= self._count or not can_be_more:
            self.were_there.set()

    def end(self) -> None:
        """Starts no more."""
        self._ends.set()


def start_spare() -> bool:
    """Has the node of this process start one more process, and keep it until an actor needs it or the job ends; False
    if it cannot be asked."""
    try:
        context = ray.get_runtime_context()
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        (node,) = (node for node in nodes if node["NodeID"] == context.get_node_id())
        request = PrestartWorkersRequest(
            language=Language.PYTHON,
            job_id=bytes.fromhex(context.get_job_id()),
            num_workers=1,
            keep_alive_duration_secs=KEPT_S,
        )
        with init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}") as channel:
            stub: Any = NodeManagerServiceStub(channel)  # type: ignore[no-untyped-call]
            stub.PrestartWorkers(request, timeout=TIMEOUT_S)
    except (grpc.RpcError, RayError, RuntimeError, ValueError) as error:
        logger.warning("no process could be prepared for an actor that is killed: %s", error)
        return False
    return True


def spares_beside() -> Iterator[bool]:
    """For each process of this job that waits beside this one of Ray's, or will as soon as it has started: whether it
    has.

    One that ran a task of the job is idle, too, and is none; it cannot be told from outside. Data jobs are jobs of
    their own.
    """
    job = ray.get_runtime_context().get_job_id()
    for process in psutil.Process(os.getppid()).children():
        with suppress(psutil.Error):
            title = " ".join(process.cmdline()).strip()
            if (title == "ray::IDLE" or "default_worker.py" in title) and process.environ().get("RAY_JOB_ID") == job:
                yield title == "ray::IDLE"


def is_actor() -> bool:
    """Whether this process is an actor of Ray."""
    return ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None


def is_restarted() -> bool:
    """Whether it is one, and Ray began it again."""
    if not is_actor():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # Ray asks itself what it advises others not to
        restarted: bool = ray.get_runtime_context().was_current_actor_reconstructed
    return restarted
