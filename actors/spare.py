"""A spare process: one that waits until a shard or the ledger is killed, and then becomes its next life.

Without one, Ray first starts a Python process, which takes two seconds with all that it imports. Ray gives an
actor that begins again an idle process that never did anything; it starts one where its node is asked to prestart a
worker. That call has no place in Ray's Python API; it was there in 2.60. Where it fails, all goes on, and the next
life of an actor takes two seconds longer.
"""

from __future__ import annotations

import logging
import warnings
from threading import Thread
from typing import Any

import grpc  # type: ignore[import-untyped]
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated.common_pb2 import Language  # type: ignore[attr-defined]
from ray.core.generated.node_manager_pb2 import PrestartWorkersRequest  # type: ignore[attr-defined]
from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning

__all__ = ["is_restarted", "keep_spare", "replace_spare"]

KEPT_S = 2**31 - 1
TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


def keep_spare() -> None:
    """Has the node of this process start one more process, and keep it until an actor needs it or the job ends."""
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


def replace_spare() -> None:
    """Called by an actor that began: where it is not its first process, it has taken the spare one."""
    if is_restarted():
        Thread(target=keep_spare, name="spare", daemon=True).start()


def is_restarted() -> bool:
    """Whether Ray began this actor again; False in what is no actor of Ray."""
    if not ray.is_initialized() or ray.get_runtime_context().get_actor_id() is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # Ray asks itself what it advises others not to
        restarted: bool = ray.get_runtime_context().was_current_actor_reconstructed
    return restarted
