"""What is noticed of runs that people follow: once, only what is new, and only for who may know."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.notices import events, follows
from dashboard.notices.models import Event, Follow, Notice
from runs.models import Poll, Run, Upstream
from tests.conftest import account, signed_in
from tests.dashboard.noticing import choose, look, polled, told, usage
from tests.factories import make_run, make_runs, make_steps
from tests.runs.polling import due_run

pytestmark = pytest.mark.django_db


def test_signing_in_is_needed_to_follow(client: Client):
    make_run(run_id="run_a")
    assert client.post("/runs/run_a/follow/").status_code == 302
    assert not Follow.objects.exists()
    assert signed_in(account("v", "viewer")).post("/runs/run_a/follow/").status_code == 302
    assert Follow.objects.count() == 1


# Ends -----------------------------------------------------------------------------------------


def test_an_end_is_told_once_to_who_follows(member: User, viewer: User):
    run = due_run()
    follows.follow(run, member)
    polled(run, status="running")
    assert look() == 0
    polled(run, status="failed")
    assert look() == 1
    assert look() == 0
    polled(run, status="completed")  # a contradiction, which is kept and does not end it anew
    assert look() == 0
    assert told(member) == [Event.FAILED]
    assert told(viewer) == []


@pytest.mark.parametrize(
    ("status", "event"), [("completed", "completed"), ("cancelled", "completed")]
)
def test_every_end_has_its_event(member: User, status: str, event: str):
    run = due_run()
    follows.follow(run, member)
    polled(run, status=status)
    look()
    assert told(member) == [event]
    assert Notice.objects.get().status == status


def test_what_was_before_one_followed_is_not_told(member: User):
    ended = due_run()
    polled(ended, status="failed")
    old = make_runs(30, status="failed", cost_micros=90_000_000)
    for run in [ended, *old]:
        follows.follow(run, member)
    polled(ended, status="failed", prompt="another prompt")
    Run.objects.filter(pk__in=[run.pk for run in old]).update(version=9)
    assert look() == 0
    assert not Notice.objects.exists()


def test_who_follows_no_more_or_is_disabled_or_lost_the_right_is_told_nothing(member: User):
    gone, without = account("gone", "member"), account("wout", "member")
    run = due_run()
    for person in (member, gone, without):
        follows.follow(run, person)
    follows.unfollow(run, member)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    without.groups.clear()
    polled(run, status="failed")
    assert look() == 0
    User.objects.filter(pk=gone.pk).update(is_active=True)
    assert look() == 0  # nor later


# Costs ----------------------------------------------------------------------------------------


def test_a_cost_is_told_when_it_passes_the_limit_to_the_micro_dollar(member: User):
    run = due_run()
    choose(member, limit_micros=1_000_000)
    follows.follow(run, member)
    polled(run, status="running", usage=usage(1_000_000))
    assert look() == 0
    polled(run, status="running", usage=usage(1_000_001))
    assert look() == 1
    polled(run, status="running", usage=usage(3_000_000))
    assert look() == 0
    choose(member, limit_micros=4_000_000)
    polled(run, status="completed", usage=usage(5_000_000))  # it came with the end
    assert look() == 2
    assert told(member) == [Event.COST, Event.COMPLETED, Event.COST]
    assert Notice.objects.filter(event=Event.COST, limit_micros=4_000_000).count() == 1


def test_the_site_gives_the_limit_to_who_set_none(member: User):
    run = due_run()
    follows.follow(run, member)
    polled(run, status="running", usage=usage(5_000_001))
    assert look() == 1


# Stalls ---------------------------------------------------------------------------------------


def silent(**fields: Any) -> Run:
    start = timezone.now() - dt.timedelta(minutes=20)
    run = make_run("running", created_at=start, **fields)
    make_steps(run, 3)
    Run.objects.filter(pk=run.pk).update(last_step_at=start)
    return run


def long_followed(run: Run, user: User) -> None:
    follows.follow(run, user)
    Follow.objects.update(since=timezone.now() - dt.timedelta(minutes=19))


def test_a_stall_that_one_saw_when_one_followed_is_not_told(member: User):
    follows.follow(silent(), member)
    assert look() == 0
    assert Follow.objects.get().stall != ""


def test_a_stall_is_told_once_until_the_run_has_moved(member: User):
    run = silent()
    long_followed(run, member)
    assert look() == 1
    assert look() == 0
    notice = Notice.objects.get()
    assert notice.event == Event.STALLED
    assert "no new step for" in notice.told
    Run.objects.filter(pk=run.pk).update(version=2, step_count=4)
    look()
    assert Follow.objects.get().stall != ""  # a longer run, silent anew
    assert told(member) == [Event.STALLED, Event.STALLED]


def test_a_run_past_its_limit_is_told_of_once_however_many_steps_it_tells(member: User):
    now = timezone.now()
    run = make_run("running", created_at=now - dt.timedelta(minutes=40))
    make_steps(run, 3)
    long_followed(run, member)
    for version in (2, 3, 4):
        moved = {"version": version, "step_count": 3 + version, "last_step_at": now}
        Run.objects.filter(pk=run.pk).update(**moved)
        look()
    assert told(member) == [Event.STALLED]
    assert "a sandbox ends after 30 minutes" in Notice.objects.get().told


def test_who_follows_anew_is_told_of_a_new_stall(member: User):
    run = silent()
    long_followed(run, member)
    assert look() == 1
    follows.unfollow(run, member)
    Run.objects.filter(pk=run.pk).update(version=2, step_count=4)
    long_followed(run, member)
    look()
    assert told(member) == [Event.STALLED, Event.STALLED]


@pytest.mark.parametrize("why", ["down", "refused", "paused", "late", "failing", "old"])
def test_a_stall_that_may_be_our_own_is_not_told(member: User, why: str):
    run, now = silent(), timezone.now()
    long_followed(run, member)
    polls, upstream = Poll.objects.all(), Upstream.objects.get_or_create(pk=Upstream.SOLE)[0]
    match why:
        case "down" | "refused":
            upstream.state = why
        case "paused":
            upstream.paused_until = now + dt.timedelta(minutes=1)
        case "late":
            polls.update(due_at=now - dt.timedelta(seconds=20))
        case "failing":
            polls.update(failures=1)
        case "old":
            polls.update(last_ok_at=now - dt.timedelta(minutes=2))
    upstream.save()
    assert look() == 0
    Upstream.objects.update(state="up", paused_until=None)
    polls.update(due_at=now, failures=0, last_ok_at=now)
    assert look() == 1


# What is looked at ----------------------------------------------------------------------------


def test_more_follows_than_one_transaction_takes_are_all_looked_at(member: User, settings: Any):
    events_most, events.MOST = events.MOST, 7
    try:
        runs = make_runs(20, status="running")
        for run in runs:
            follows.follow(run, member)
        Run.objects.update(status="completed", version=2)
        assert look() == 20
    finally:
        events.MOST = events_most


def test_a_run_that_is_polled_no_more_is_looked_at_no_more(member: User):
    run = make_run("completed")
    follows.follow(run, member)
    assert Follow.objects.get().is_open
    look()
    assert not Follow.objects.get().is_open


def test_whoever_adds_a_run_follows_it_unless_they_want_otherwise(
    member: User, member_client: Client
):
    make_run("running", run_id="run_a")
    make_run("running", run_id="run_b")
    member_client.post("/runs/add/", {"run": "run_a"})
    assert Follow.objects.get().run.run_id == "run_a"
    follows.unfollow(Run.objects.get(run_id="run_a"), member)
    member_client.post("/runs/add/", {"run": "run_a"})
    choose(member, follows_added=False)
    member_client.post("/runs/add/", {"run": "run_b"})
    assert not Follow.objects.filter(is_on=True).exists()
