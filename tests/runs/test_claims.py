"""Claiming: what is leased, to whom, and in which order."""

import datetime as dt
import threading
from collections import Counter

import pytest
from django.utils import timezone

from runs import poller
from runs.claims import Claim, claim
from runs.leases import LEASE
from runs.models import Poll
from runs.poller import Outcome
from tests.factories import make_run, make_runs
from tests.runs.polling import (
    MINUTE,
    answer,
    due_run,
    in_threads,
    now_details,
    poll_of,
)


@pytest.mark.django_db
def test_a_claim_leases_what_is_due_and_raises_its_fence() -> None:
    run = due_run()
    make_run("running", poll_due_at=timezone.now() + MINUTE)
    make_run("completed", poll_due_at=None)
    now = timezone.now()
    held = claim(now, 10)
    assert [one.run_id for one in held] == [run.run_id]
    poll = poll_of(run)
    assert (poll.fence, held[0].fence) == (1, 1)
    assert poll.leased_until == now + LEASE
    assert poll.last_tried_at == now
    assert claim(now, 10) == []


@pytest.mark.django_db
def test_a_lease_that_ran_out_is_claimed_again_with_a_higher_fence() -> None:
    due_run()
    now = timezone.now()
    first = claim(now, 10)
    assert claim(now + LEASE - dt.timedelta(seconds=1), 10) == []
    second = claim(now + LEASE, 10)
    assert [one.fence for one in [*first, *second]] == [1, 2]


@pytest.mark.django_db
def test_active_runs_go_before_ended_ones_and_the_longest_due_first() -> None:
    now = timezone.now()
    ended = due_run("completed", poll_due_at=now - 9 * MINUTE, poll_lane=Poll.Lane.SETTLING)
    later = due_run(poll_due_at=now - MINUTE)
    first = due_run(poll_due_at=now - 2 * MINUTE)
    held = claim(now, 2)
    assert [one.run for one in held] == [first.pk, later.pk]
    assert [one.run for one in claim(now, 2)] == [ended.pk]


@pytest.mark.django_db
def test_what_falls_due_before_the_next_tick_goes_with_this_one() -> None:
    now = timezone.now()
    make_run("running", poll_due_at=now + dt.timedelta(milliseconds=399))
    make_run("running", poll_due_at=now + dt.timedelta(milliseconds=900))
    assert len(claim(now, 10)) == 1


@pytest.mark.django_db(transaction=True)
def test_no_run_goes_to_two_claimers() -> None:
    runs = make_runs(60, status="running")
    poller.schedule_new(runs, timezone.now() - MINUTE)

    def claim_all() -> list[Claim]:
        mine: list[Claim] = []
        while held := claim(timezone.now(), 7):
            mine += held
        return mine

    claims = [held for mine in in_threads(6, claim_all) for held in mine]
    assert Counter(held.run for held in claims) == dict.fromkeys([run.pk for run in runs], 1)
    assert set(Poll.objects.values_list("fence", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_fences_only_rise_and_no_two_commits_carry_one() -> None:
    run = due_run()
    written: list[int] = []

    def go() -> None:
        for number in range(5):
            for held in claim(timezone.now() + number * LEASE, 1, only=run.pk):
                body = now_details(run.run_id, guidance=f"{threading.get_ident()} {number}")
                outcome = poller.store(held, answer(body))
                if outcome is not Outcome.OVERTAKEN:
                    written.append(held.fence)

    in_threads(4, go)
    assert len(set(written)) == len(written)
    assert poll_of(run).fence >= max(written)
    run.refresh_from_db()
    assert run.version == len(written)
