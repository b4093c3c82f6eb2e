"""Front ends of the session's cluster, over real HTTP, as many at once as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from actors.cluster import Cluster
from engine.config import load_settings
from tests.api.front import Front


@pytest.fixture(scope="session")
def fronts(cluster: Cluster) -> Iterator[Callable[..., Front]]:
    """Serves the cluster with environment variables (without `MADAN_SARA_`) over the defaults."""
    with ExitStack() as stack:

        def serve(**variables: str) -> Front:
            environment = {f"MADAN_SARA_{name.upper()}": value for name, value in variables.items()}
            return stack.enter_context(Front(cluster, load_settings(environment=environment)))

        yield serve


@pytest.fixture(scope="session")
def default_front(fronts: Callable[..., Front]) -> Front:
    return fronts()


@pytest.fixture(scope="session")
def client(default_front: Front) -> Iterator[httpx.Client]:
    """A client whose base is the contract's prefix."""
    with httpx.Client(base_url=default_front.url + "/api/v1/outreach", timeout=60) as client:
        yield client
