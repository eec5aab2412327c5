"""Fixtures for tests of the simulator itself: it is judged by the official SDK and by raw httpx."""

from collections.abc import Iterator

import httpx
import pytest
from casedev import Casedev

from runs.simulator.testing import SimulatorServer


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    """A served world whose clock stands still until the test moves it."""
    with SimulatorServer(manual=True) as served:
        yield served


@pytest.fixture
def sdk(server: SimulatorServer) -> Iterator[Casedev]:
    plain = httpx.Client(verify=False, trust_env=False)  # no certificates to load for loopback
    with Casedev(
        api_key=server.key, base_url=server.url, max_retries=0, http_client=plain
    ) as client:
        yield client


@pytest.fixture
def http(server: SimulatorServer) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=server.url, headers=server.headers, trust_env=False, verify=False
    ) as client:
        yield client
