"""The lines to Case.dev and to Valkey, broken in every way that the proxy knows."""

from typing import Any

import pytest
from django.test import Client

from tests.chaos.checker import START, begin, finish
from tests.chaos.proxy import FAULTS, Proxy
from tests.chaos.rig import Rig
from tests.chaos.rows import Cases
from tests.chaos.test_processes import BACK_WITHIN, RESUMES_WITHIN, look_at_pages
from tests.product import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]
WAYS: list[tuple[str, Any]] = [(to, fault) for fault in FAULTS[1:] for to in ("api", "broker")]


@pytest.mark.row("wires")
def test_a_line_that_is_bad_for_a_while_costs_only_time(
    rig: Rig, cases: Cases, viewer_client: Client
) -> None:
    """Pages stay up meanwhile; a probe of Case.dev goes out every two seconds in these workers."""
    checker = begin(rig, workers=2, beats=1)
    for case in cases:
        to, fault = WAYS[case.number % len(WAYS)]
        seconds = case.chance.uniform(1, 3 if cases.which == "short" else 40)
        line: Proxy = rig.api if to == "api" else rig.broker
        met = line.met
        line.fault = fault
        if fault == "refuse":
            line.drop_all()
        look_at_pages(viewer_client, seconds)
        until(lambda: line.met > met, START, f"{to}, {fault}: somebody to meet it")  # noqa: B023
        checker.look(is_held_back=True)
        line.fault = "none"
        if fault == "blackhole":
            line.drop_all()  # what was swallowed does not come again
        words = f"{to}, {fault} for {seconds:.1f} s: polls came"
        cases.within(BACK_WITHIN, rig.wait_for_polls(START, 2, words), words)
        cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
        checker.look()
    finish(rig, checker)
