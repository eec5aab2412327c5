"""Rest: while no run is active nobody need be woken each second; a new run ends it."""

import pytest
from django.utils import timezone

from runs import notices, poller
from runs.models import Poll, Run
from tests.factories import make_run, make_runs
from tests.runs.polling import Api, due_run, now_details

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _awake() -> None:
    notices.stir()


def test_without_active_runs_a_tick_asks_for_rest() -> None:
    make_run("completed", poll_due_at=None, poll_lane=Poll.Lane.SETTLING)
    assert not notices.is_at_rest()
    Api().poll()
    assert notices.is_at_rest()
    assert 0 < notices.connection().ttl(notices.REST_KEY) <= notices.REST


def test_while_a_run_is_active_there_is_no_rest_be_it_due_or_not() -> None:
    run = due_run()
    api = Api(now_details(run.run_id))
    assert api.poll() == 1
    assert api.poll() == 0
    assert not notices.is_at_rest()


def test_a_run_that_is_found_ends_the_rest(django_capture_on_commit_callbacks: object) -> None:
    Api().poll()
    assert notices.is_at_rest()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        poller.schedule_new(make_runs(1, status="queued"), timezone.now())
    assert not notices.is_at_rest()


def test_a_run_that_comes_between_the_look_and_the_rest_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rest = notices.rest

    def slowly() -> None:
        rest()
        due_run()

    monkeypatch.setattr(notices, "rest", slowly)
    Api().poll()
    assert Run.objects.active().exists()
    assert not notices.is_at_rest()
