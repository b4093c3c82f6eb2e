"""What all tests share: one Ray cluster a session, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from actors.client import AsyncOutreach
from actors.cluster import Cluster, start
from tests.settings import deciding

CLUSTER_SHARDS = 4


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Four shards under the manual clock. Its state is shared: tests use campaigns and people of their own."""
    started = start(deciding(shards=CLUSTER_SHARDS, clock="manual"))
    yield started
    started.stop()


@pytest.fixture
async def outreach(cluster: Cluster) -> AsyncIterator[AsyncOutreach]:
    """A client on the event loop of the test."""
    client = cluster.client()
    yield client
    await client.close()
