"""What several tests of pages stand on: a run that is watched, and who takes notices."""

from collections.abc import Iterator
from typing import Any

import pytest

from runs.models import Run
from tests.dashboard.sinks import MailServer, Webhook
from tests.factories import make_run


@pytest.fixture
def run(site: str) -> Run:
    """At work, on the site that is served."""
    return make_run("running", run_id="run_live", step_count=0)


@pytest.fixture
def post(settings: Any) -> Iterator[MailServer]:
    """The mail server that this installation sends through."""
    with MailServer() as server:
        settings.MAILERS = server.mailers
        settings.DEFAULT_FROM_EMAIL = "Runsheet <runsheet@firm.example>"
        settings.PUBLIC_URL = "https://runs.example.org"
        yield server


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server
