"""What all tests of the record start from."""

import gc
from collections.abc import Iterator

import pytest
from django.core.cache import cache

from runs import poller


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """No cached hint from the test before, and no thread with a connection to its database."""
    cache.clear()
    yield
    if poller.rest():
        gc.collect()  # closes the connections of the threads that are gone
