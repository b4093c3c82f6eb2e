"""A state directory that a cluster wrote, damaged in one file: it is refused, or shows what it showed.

What it shows is what `check_directory` finds, which reads it as a start does: the commits of each file, and the hash of
each shard's state, which must be the hash that the living shard tells.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path

from actors.cluster import Cluster
from actors.state_check import Checked, check_directory
from engine.errors import StateFault
from tests.actors.state_crashes import damage, quick_directory

PAUSE_S = 0.05
Files = dict[str, bytes]


async def check(directory: Path) -> list[Checked]:
    return [checked async for checked in check_directory(directory)]


def files_of(directory: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


async def copy_of(cluster: Cluster) -> Files:
    """Its files as a kill would leave them now, when nothing is asked and no checkpoint runs."""
    directory = Path(cluster.settings.state_dir)
    files = files_of(directory)
    while True:
        await asyncio.sleep(PAUSE_S)
        before, files = files, files_of(directory)
        if before == files:
            return files


async def damaged_directories(cluster: Cluster, count: int, seed: int) -> Counter[str]:
    """See the module. How often the directory was refused."""
    dice, outcomes = random.Random(seed), Counter[str]()
    hashes = [await shard.state_hash.remote() for shard in cluster.shards]
    with quick_directory() as place:
        files = await copy_of(cluster)
        shown = await show(place / "whole", files)
        told = [checked.holds.rpartition(" ")[2] for checked in shown[1:]]
        assert told == hashes, f"seed {seed}: the files say {told}, and the shards {hashes}"
        names = [name for name, content in files.items() if content]
        for case in range(count):
            name = dice.choice(names)
            damaged = damage(files[name], b"", dice)
            if name.endswith(".last") and not damaged:
                continue  # that is how a person says that what is missing is given up
            try:
                found = await show(place / "case", files | {name: damaged})
            except StateFault:
                outcomes["refused"] += 1
            else:
                assert found == shown, f"seed {seed}, case {case}: {name} is damaged and shows {found}, not {shown}"
                outcomes["harmless"] += 1
    return outcomes


async def show(directory: Path, files: Files) -> list[Checked]:
    """What a directory of these files shows. It must not be changed by that."""
    put(directory, files)
    try:
        return await check(directory)
    finally:
        assert files_of(directory) == files, "looking at a directory changed it"


def put(directory: Path, files: Files) -> None:
    """Makes a directory hold these files and no others."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
