"""The live addresses, through a real server: what streams bring, when they end, who gets one."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from runs import notices
from runs.models import Poll, Run
from tests.eventstream import EventStream
from tests.factories import make_run, make_steps


@pytest.fixture
def run(site: str) -> Run:
    return make_run("running", run_id="run_live", step_count=0)


def change(run: Run, steps: int = 1, tell: bool = True) -> None:
    """What a sync does: a new version with new steps, and a notice after it."""
    run.version += 1
    make_steps(run, steps)
    run.save(update_fields=["version"])
    if tell:
        notices.publish([notices.Notice(run.pk, run.version)])


def live(site: str, run: Run, since: int | None = None, tab: str = "timeline") -> str:
    since = run.version if since is None else since
    return f"{site}/runs/{run.run_id}/live/?since={since}&tab={tab}"


def test_a_change_arrives_with_its_new_step(site: str, run: Run, viewer_client: Client) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        change(run)
        took = stream.until(lambda it: 'id="s1"' in it.html)
        assert took < 1
        assert stream.named("change")[-1].id == "2"
