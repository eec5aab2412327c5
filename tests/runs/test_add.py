"""`manage.py add`: what it prints and how it ends."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from runs.models import Poll, Run
from runs.simulator.testing import SimulatorServer

pytestmark = pytest.mark.django_db


def add(*pasted: str) -> tuple[str, str, str]:
    """Output, errors, and the last word if it ended badly."""
    out, err = StringIO(), StringIO()
    try:
        call_command("add", *pasted, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), str(error)
    return out.getvalue(), err.getvalue(), ""


def test_runs_are_added_by_id_and_by_address(simulator: SimulatorServer) -> None:
    first, second = (simulator.world.create("nda_review").id for _ in range(2))
    told = add(first, f"{simulator.url}/agent/v1/run/{second}/details")
    assert told == (f"{first}: queued, 0 steps\n{second}: queued, 0 steps\n", "", "")
    assert Run.objects.count() == Poll.objects.count() == 2
    assert add(first)[0] == f"{first}: queued, 0 steps\n"


def test_what_cannot_be_added_is_told_and_the_rest_is_added(simulator: SimulatorServer) -> None:
    known = simulator.world.create("nda_review").id
    out, err, end = add("run_nobody", "not an id", known)
    assert out == f"{known}: queued, 0 steps\n"
    first, second = err.splitlines()
    assert first == "run_nobody: Case.dev answered 404: Run run_nobody not found"
    assert second.startswith("not an id: This holds no run id.")
    assert end == "2 of 3 could not be added or read."
    assert Run.objects.count() == 1


def test_while_case_dev_is_away_nothing_is_added(settings: Any) -> None:
    settings.CASEDEV_BASE_URL = "http://127.0.0.1:1"
    out, err, end = add("run_1")
    assert (out, err) == ("", "run_1: Case.dev cannot be reached.\n")
    assert end == "1 of 1 could not be added or read."
    assert not Run.objects.exists()


def test_an_answer_that_cannot_be_read_is_told(simulator: SimulatorServer) -> None:
    run_id = simulator.start("nda_review").id
    simulator.fault("malformed", form="garbage", route="details")
    out, err, end = add(run_id)
    assert (out, end) == ("", "1 of 1 could not be added or read.")
    assert Run.objects.get().version == 0
    assert err == f"{run_id} is added, but: The answer cannot be read: it is not JSON.\n"
