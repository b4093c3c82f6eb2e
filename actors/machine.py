"""Ray on this machine: who may talk to it, and where it is."""

from __future__ import annotations

import os
import secrets
import sysconfig
from pathlib import Path

from ray._private import ray_constants
from ray._private.services import find_gcs_addresses
from ray._private.utils import read_ray_address
from ray._raylet import Config  # type: ignore[attr-defined]

from engine.errors import ConfigurationError
from engine.loopback import is_loopback

__all__ = ["SYSTEM_CONFIG", "bind_to_loopback", "found_cluster", "lead_workers_here", "offer_token", "require_token"]

TOKEN_PATH = Path(".ray", "auth_token")
"""Where Ray looks for its token, below the home directory, unless told otherwise."""

SYSTEM_CONFIG = {
    # A call to an actor that was killed waits so long to hear what became of it before it fails (1,000 without), and
    # is looked at again so often (1,000): callers of a killed shard heard of it after 2 s, and it was back before.
    "timeout_ms_task_wait_for_death_info": 50,
    "core_worker_internal_heartbeat_ms": 100,
    # Ray would make its workers give way to everything else (15); the shards are what the machine is there for.
    "worker_niceness": 0,
    # Parts and answers up to so many bytes (102,400) travel with their call. Larger ones go through shared memory,
    # which asks Ray's own processes each time: a tenth of all that a batch of 10,000 costs. The blocks of data jobs are
    # larger, and stay there.
    "max_direct_call_object_size": 1024 * 1024,
    # What a process imports while it waits to become an actor.
    "preload_python_modules": ["actors.preload"],
}
"""Settings of the Ray that is started here. Ray documents none of them; all were there in 2.60."""

HERE = Path(__file__).parents[1]
"""Where the packages are."""

LOOPBACK_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray reads "0" as: this node is 127.0.0.1, and every port is bound there. It works on any system."""


def require_token() -> None:
    """Has Ray refuse callers without the user's token, which lies in a file that only the user can read.

    What the environment says of Ray's authentication is left as it is. Ray itself would make the file readable
    for everybody on the machine.
    """
    if os.environ.setdefault("RAY_AUTH_MODE", "token") != "token":
        return
    Config.initialize("")  # Ray read its environment when it was imported
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path = Path.home() / TOKEN_PATH
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            path.chmod(0o600)
            return
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    except OSError as error:
        raise ConfigurationError(
            "RAY_AUTH_TOKEN_PATH", f"takes a file with a token; {path}: {error.strerror}"
        ) from None


def offer_token() -> None:
    """Has this process show the user's token, if there is one, to the Ray that it joins."""
    if "RAY_AUTH_MODE" not in os.environ and (Path.home() / TOKEN_PATH).exists():
        require_token()


def bind_to_loopback() -> None:
    """Has the Ray that this process starts or joins next use 127.0.0.1 only, here and in its child processes."""
    os.environ[LOOPBACK_VARIABLE] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


def lead_workers_here() -> None:
    """Has the Ray that this process starts next preload this very copy of the package.

    Its processes import before they hear where their driver's modules are: they might find another copy, or none.
    """
    if str(HERE) in sysconfig.get_paths().values():
        return
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(HERE), *filter(None, paths)]))


def found_cluster(address: str) -> str | None:
    """HOST:PORT of a Ray that runs; for `auto` the one of this machine, None if there is none.

    `auto` is the Ray of RAY_ADDRESS, else the one that was started last. One on loopback is joined on loopback.
    """
    if address == "auto":
        running = sorted(find_gcs_addresses())  # type: ignore[no-untyped-call]
        address = os.environ.get("RAY_ADDRESS") or read_ray_address() or (running[0] if running else "")
    if is_loopback(address.rpartition(":")[0]):
        bind_to_loopback()
    return address or None
