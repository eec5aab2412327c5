"""Leases: renewed while their process lives, over soon after it, never used past their end."""

import datetime as dt
import time
from typing import Any

import httpx
import pytest
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import F
from django.utils import timezone

from runs import discovery, leases, poller
from runs.casedev import client, network
from runs.casedev.network import deadline
from runs.claims import claim
from runs.models import Discovery, Poll, Upstream
from runs.poller import Outcome, Round
from tests.product import until
from tests.runs.answers import client_of, reply
from tests.runs.polling import Api, claim_of, due_run, now_details, poll_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", dt.timedelta(seconds=1.5))
    monkeypatch.setattr(leases, "RENEW", 0.2)
    # Another may be in the middle of its usual pause.
    monkeypatch.setattr(leases, "_keeper", leases._Keeper())


def test_what_is_left_of_a_lease_outlasts_a_read_and_other_clocks_and_ends_in_time() -> None:
    lease = leases.LEASE.total_seconds()
    # Taken just after the keeper has looked, it is not renewed at the next look but the one after.
    assert lease - 2 * leases.RENEW >= client.READ
    assert lease - 2 * leases.RENEW > leases.SKEW
    assert lease < 15


@pytest.mark.usefixtures("short")
def test_an_answer_that_takes_longer_than_a_lease_is_stored_and_asked_for_once() -> None:
    run = due_run()
    asked: list[str] = []

    def slowly(run_id: str) -> bytes:
        asked.append(run_id)
        over = timezone.now() + 2 * leases.LEASE
        until(lambda: timezone.now() > over, 20, "more than a lease to pass")
        assert claim(timezone.now(), 10) == []  # it is held
        connection.close()
        return now_details(run_id)

    assert Api(slowly).poll() == 1
    assert asked == [run.run_id]
    poll = poll_of(run)
    assert (poll.leased_until, poll.failures, poll.fence) == (None, 0, 1)
    assert poll.last_ok_at is not None


@pytest.mark.usefixtures("short")
def test_a_walk_that_takes_longer_than_a_lease_is_walked_once() -> None:
    at_once: list[bool] = []

    def slowly(request: Any) -> Any:
        if request.url.path.endswith("/run"):
            time.sleep(2 * leases.LEASE.total_seconds())
            at_once.append(discovery.discover_due(client_of(lambda _: reply({}, 500))))
        return reply({"runs": [], "agents": [], "hasMore": False})

    discovery.discover_due(client_of(slowly))
    assert at_once == [False]
    walk = Discovery.objects.get()
    assert (walk.fence, walk.failures, walk.leased_until) == (1, 0, None)
    assert walk.last_ok_at is not None


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("kind", [DatabaseError, InterfaceError])
def test_what_cannot_be_renewed_is_broken_off_and_tells_nothing_of_case_dev(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise kind("away")

    monkeypatch.setattr(leases, "renew", fail)
    run = due_run()
    held = claim_of(run)
    began = time.monotonic()

    def endless(_: object) -> Any:
        """As the transport does it, a read at a time."""
        while True:
            try:
                network._left(0.1)
            except TimeoutError:
                raise httpx.ReadTimeout("the deadline has passed") from None
            time.sleep(0.05)

    with leases.kept([held.hold]):
        report = poller.poll(held, Round(client_of(endless)))
    assert report.outcome is Outcome.LATE
    assert time.monotonic() - began < 10
    assert f"1 leases not renewed: {kind.__name__}" in caplog.text
    poll = poll_of(run)
    assert (poll.leased_until, poll.failures) == (None, 0)
    assert not Upstream.objects.exclude(failures=0).exists()


@pytest.mark.usefixtures("short")
def test_what_hangs_keeps_a_run_from_others_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "LONGEST", 1.0)
    held = claim_of(due_run())
    with leases.kept([held.hold]):
        until(lambda: claim(timezone.now(), 10), 20, "the run to be free")
        assert held.hold.age > leases.LEASE.total_seconds() + leases.RENEW  # it was renewed
        assert not held.hold.lasts()


@pytest.mark.usefixtures("short")
def test_an_earlier_hold_of_a_run_does_not_hide_the_later() -> None:
    runs = [due_run(run_id=f"run_{number}") for number in range(8)]
    earlier = [claim_of(run).hold for run in runs]
    Poll.objects.update(leased_until=None)  # given back, while its round goes on
    later = [claim_of(run).hold for run in runs]
    ends = [hold.until for hold in later]
    with leases.kept(earlier), leases.kept(later):
        until(
            lambda: all(hold.until > end for hold, end in zip(later, ends, strict=True)),
            1.2,  # before the earlier ones have ended by themselves
            "all that is held to be renewed",
        )


def test_what_waited_long_for_a_thread_is_not_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = claim_of(due_run())
    monkeypatch.setattr(poller, "ASK_WITHIN", 0.0)
    report = poller.poll(held, Round(client_of(lambda _: pytest.fail("it was asked"))))
    assert report.outcome is Outcome.LATE
    assert Poll.objects.get().leased_until is None


def test_only_what_is_ours_and_not_given_back_is_renewed() -> None:
    mine, others, done = (due_run(run_id=f"run_{number}") for number in range(3))
    holds = {run.pk: claim_of(run).hold for run in (mine, others, done)}
    before = {key: hold.until for key, hold in holds.items()}
    Poll.objects.filter(pk=others.pk).update(fence=F("fence") + 1)
    Poll.objects.filter(pk=done.pk).update(leased_until=None)
    known = dict(Poll.objects.values_list("pk", "leased_until"))
    leases.renew(Poll, holds)
    now = dict(Poll.objects.values_list("pk", "leased_until"))
    changed = [now[run.pk] != known[run.pk] for run in (mine, others, done)]
    assert changed == [True, False, False]
    assert [holds[run.pk].until > before[run.pk] for run in (mine, others, done)] == [
        *(True, False, False)
    ]


def test_a_lease_that_was_taken_some_time_ago_or_by_another_clock_never_outlasts_its_row() -> None:
    whole = leases.LEASE.total_seconds()
    for ago, left in ((5, whole - 5), (2 * whole, 0), (-3600, whole)):
        hold = leases.Hold(Poll, 1, 1, timezone.now() - dt.timedelta(seconds=ago))
        assert hold.until - time.monotonic() == pytest.approx(left, abs=0.5)


def test_nothing_is_renewed_and_nothing_runs_when_nothing_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renewed: list[object] = []
    monkeypatch.setattr(leases, "RENEW", 0.05)
    monkeypatch.setattr(leases, "_renew_safely", lambda *args: renewed.append(args))
    run = due_run()
    with leases.kept([claim_of(run).hold]):
        pass
    time.sleep(0.3)  # several times as long as it takes
    assert renewed == []


def test_the_deadline_of_a_block_within_another_is_the_earlier_of_both() -> None:
    later, sooner = time.monotonic() + 100, time.monotonic() + 10
    for outer, inner in ((later, sooner), (sooner, later)):
        with deadline(lambda: outer), deadline(lambda: inner):  # noqa: B023
            assert network._left(1000) == pytest.approx(10, abs=1)
    moved = [sooner]
    with deadline(lambda: moved[0]):
        moved[0] = later
        assert network._left(1000) == pytest.approx(100, abs=1)
