"""What all tests of the record start from."""

import gc
from collections.abc import Iterator

import pytest

from runs import poller


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """No thread of the test before with a connection to its database."""
    yield
    if poller.rest():
        gc.collect()  # closes the connections of the threads that are gone
