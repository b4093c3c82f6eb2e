"""What all tests share: one Ray cluster a session, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from actors.client import AsyncOutreach
from actors.cluster import Cluster, start
from engine.config import default_settings

CLUSTER_SHARDS = 4


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Four shards under the manual clock. Its state is shared: tests use campaigns and people of their own."""
    settings = msgspec.structs.replace(default_settings(), shards=CLUSTER_SHARDS, clock="manual")
    started = start(settings)
    yield started
    started.stop()


@pytest.fixture
async def outreach(cluster: Cluster) -> AsyncIterator[AsyncOutreach]:
    """A client on the event loop of the test."""
    client = cluster.client()
    yield client
    await client.close()
