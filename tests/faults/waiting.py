"""Who waits for whom on a simulated machine: for a pair that does not end."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.processes import Process, ShardProcess

if TYPE_CHECKING:
    from tests.faults.machine import Machine

ROOT = Path(__file__).parents[2]


def who_waits(machine: Machine) -> str:
    """What the lives are at, and where each thread and each task stands that runs something of ours. On the loop."""
    processes = (machine.ledger_process, *machine.shard_processes)
    loops = {"clients and ledger": asyncio.get_running_loop()}
    for shard in machine.shard_processes:
        loops[f"{shard.name}'s file"] = shard.shard._writer._thread._loop
    lines = [f"strikes to come: {machine.strikes}; lives that begin or end: {len(machine._ending)}"]
    lines += map(_about, processes)
    for name, loop in loops.items():
        lines += (f"task of {name}: {' > '.join(_of_task(task))}" for task in asyncio.all_tasks(loop))
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for thread, frame in sys._current_frames().items():
        if steps := _ours(traceback.extract_stack(frame)):
            lines.append(f"thread {names.get(thread)}: {' > '.join(steps)}")
    return "\n".join(lines)


def _about(process: Process) -> str:
    life = "alive" if process.alive else "dead"
    if isinstance(process, ShardProcess) and process.shard._life is None:
        life += f", without a life ({process.shard._fault})"
    calls = [f"{call.method} of {call.caller}" for call in process.calls.values()]
    return f"{process.name}: {life}; asked: {calls}; asks the ledger {len(process.asked)} times"


def _of_task(task: asyncio.Task[Any]) -> Iterator[str]:
    """Through all that it awaits; the task's own stack has the outermost only."""
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        yield f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
        awaited = awaited.cr_await


def _ours(stack: traceback.StackSummary) -> list[str]:
    return [f"{Path(step.filename).name}:{step.lineno} {step.name}" for step in stack if _is_ours(Path(step.filename))]


def _is_ours(path: Path) -> bool:
    return path.is_relative_to(ROOT) and ".venv" not in path.parts
