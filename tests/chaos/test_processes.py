"""Real workers and beats that are killed, stopped, made deaf, doubled and restarted."""

import json
import operator
import os
import signal
import socket
import time
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.celery import app
from dashboard.notices import follows, sealed
from runs import gauges
from runs.models import Poll, Run
from runs.simulator.run import SimulatedRun
from tests.chaos.checker import START, Checker, begin, finish, start_long
from tests.chaos.rig import Rig, Worker
from tests.chaos.rows import Cases
from tests.conftest import account
from tests.dashboard.noticing import choose
from tests.dashboard.sinks import MailServer, Webhook
from tests.product import PASSWORD, Product, is_alive, signed_in, until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(0),
]
RESUMES_WITHIN = 15.0
BACK_WITHIN = 10.0


# kill -9 ------------------------------------------------------------------------------------------


@pytest.mark.row("kills")
def test_workers_and_beats_that_are_killed_in_the_middle(rig: Rig, cases: Cases) -> None:
    checker = begin(rig, workers=2, beats=1)
    rig.simulator.fault("slow", route="details", delay=0.03)
    for case in cases:
        feed(rig, case.number)
        victims = victims_of(rig, case.chance)
        if victims[0].kind == "worker":
            until(rig.in_flight, START, "a poll to be under way")
        for victim in victims:
            victim.end()
        for victim in victims:
            rig.launch(victim.kind)
        took = rig.wait_for_polls(START, 2, "work to resume")
        cases.within(RESUMES_WITHIN, took, "work resumed")
        cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
        checker.look()
    finish(rig, checker)


def feed(rig: Rig, number: int) -> None:
    rig.simulator.start("synthetic", steps=60, seconds=600, seed=number + 1)


def victims_of(rig: Rig, chance: Random) -> list[Worker]:
    workers, beats = rig.alive("worker"), rig.alive("beat")
    return chance.choice(([chance.choice(workers)], [chance.choice(workers)], workers, beats))


# SIGSTOP, SIGCONT ---------------------------------------------------------------------------------


@pytest.mark.row("stops")
def test_a_worker_that_is_stopped_past_its_lease_writes_nothing_stale(
    rig: Rig, cases: Cases
) -> None:
    """The lease truly passes; it is six seconds in these workers. What was asked before the stop is
    answered during it, so that in each case a late answer meets a newer fence. Of an answer that
    takes more than one read only the first would come: the deadline is over then."""
    checker = begin(rig, workers=2, beats=1, seconds=4_000)  # so that each answer brings a step
    for case in cases:
        if case.number % 5 == 4:
            _start_anew(rig)
        stopped, held = _stop_one_that_asks(rig, case.chance)
        until(_are_free(held), START, "the leases to pass, and newer answers")
        newer, refused = {pk: _told(pk) for pk in held}, _refused()
        stopped.send(signal.SIGCONT)
        until(lambda: _refused() > refused, START, "a late answer to be refused")  # noqa: B023
        rig.wait_for_polls(START, 2, "polls of both")
        for pk, told in newer.items():
            now = _told(pk)
            assert all(map(operator.ge, now, told)), f"stale over newer: {told}, then {now}"
        cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
        checker.look()
    assert "Traceback" not in rig.log()
    finish(rig, checker)


def _start_anew(rig: Rig) -> None:
    """Runs whose answers are short still, in place of those whose are long by now."""
    for run in rig.simulator.world.runs():
        rig.simulator.world.cancel(run)
    ids = [run.id for run in start_long(rig, 4_000)]
    found = Run.objects.filter(run_id__in=ids, status=Run.Status.RUNNING)
    until(lambda: found.count() == len(ids), START, "new runs to be found")


def _stop_one_that_asks(rig: Rig, chance: Random) -> tuple[Worker, dict[int, int]]:
    """It, and the fences of what it asked about: what is still held when the other has had the time
    to end what it held itself, and was being answered at the stop."""
    for _ in range(50):
        fault = rig.simulator.fault("slow", route="details", delay=0.4)
        until(rig.in_flight, START, "a poll to be under way")
        worker = chance.choice(rig.alive("worker"))
        worker.send(signal.SIGSTOP)
        asked, stopped_at = rig.being_answered(), timezone.now()
        rig.simulator.world.faults.remove(fault.id)
        time.sleep(2)
        since = Poll.objects.exclude(leased_until=None).filter(last_tried_at__lte=stopped_at)
        ours = since.filter(run__run_id__in=asked)
        if held := dict(ours.values_list("pk", "fence")):
            return worker, held
        worker.send(signal.SIGCONT)
    raise AssertionError("the workers that were stopped held nothing")


def _refused() -> int:
    return gauges.told().polls.get("overtaken", 0)


def _told(pk: int) -> tuple[Any, ...]:
    """What only rises, unless something older is written."""
    names = ("fence", "last_ok_at", "run__version", "run__step_count")
    told: tuple[Any, ...] = Poll.objects.values_list(*names).get(pk=pk)
    return told


def _are_free(held: dict[int, int]) -> Callable[[], bool]:
    """Whether each was answered for: by the other worker where the one that is stopped held it."""
    ours = Poll.objects.filter(pk__in=held)
    return lambda: not ours.exclude(leased_until=None).exists()


# Redis --------------------------------------------------------------------------------------------


@pytest.mark.row("redis")
def test_redis_flushed_killed_full_and_replaced(
    rig: Rig, cases: Cases, viewer_client: Client
) -> None:
    checker = begin(rig, workers=1, beats=1)
    for case in cases:
        kind = ("flushed", "killed", "full", "replaced", "cut")[case.number % 5]
        away = case.chance.uniform(1, 4 if cases.which == "short" else 120)
        spoil_redis(rig, kind, away, viewer_client)
        begun = time.monotonic()
        rig.wait_for_polls(START, 2, f"polls after Redis was {kind} for {away:.1f} s")
        took = time.monotonic() - begun
        cases.within(BACK_WITHIN, took, f"{kind} for {away:.1f} s: polls came")
        cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
        assert viewer_client.get("/runs/").status_code == 200
        checker.look()
    finish(rig, checker)


def spoil_redis(rig: Rig, kind: str, away: float, viewer: Client) -> None:
    match kind:
        case "flushed":
            rig.ask("FLUSHALL")
        case "full":
            rig.ask("CONFIG", "SET", "maxmemory", "1")
            look_at_pages(viewer, away)
            rig.ask("CONFIG", "SET", "maxmemory", "0")
        case "cut":
            rig.broker.drop_all()
        case _:
            rig.kill_valkey()
            look_at_pages(viewer, away if kind == "killed" else 0)
            rig.start_valkey()


def look_at_pages(viewer: Client, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    run_id = Run.objects.values_list("run_id", flat=True)[0]
    while True:
        for path in ("/", "/runs/", f"/runs/{run_id}/"):
            assert viewer.get(path).status_code == 200, path
        if time.monotonic() > ends_at:
            return


# Deaf ---------------------------------------------------------------------------------------------


@pytest.mark.row("deaf")
@pytest.mark.product
def test_a_worker_that_lives_and_hears_nothing_is_ended_and_replaced(
    product: Callable[..., Product], cases: Cases
) -> None:
    """Stopped as a whole under `up`, which watches it from outside."""
    up = product()
    up.start(300)
    with signed_in(up, "ada", PASSWORD) as browser:
        for case in cases:
            until(lambda: up.get("/readyz").status_code == 200, START, "readiness")
            until(lambda: SILENT not in browser.get("/").text, START, "a page without the alarm")
            _deafen(up, browser, "beat" if case.number % 3 == 1 else "worker", cases)


SILENT = "No worker has polled lately."


def _deafen(up: Product, browser: httpx.Client, kind: str, cases: Cases) -> None:
    victim = up.parts()[kind]
    os.kill(victim, signal.SIGSTOP)
    begun = time.monotonic()
    until(lambda: _tells_of_silence(up), 180, f"the deaf {kind} to be told of")
    cases.within(60, time.monotonic() - begun, f"a deaf {kind} was told of")
    until(lambda: SILENT in browser.get("/").text, 180, f"pages to tell of the deaf {kind}")
    cases.within(60, time.monotonic() - begun, f"a deaf {kind} was told of on the pages")
    until(lambda: up.parts().get(kind, victim) != victim, 180, f"another {kind}")
    took = time.monotonic() - begun
    cases.within(60, took, f"a deaf {kind} was replaced")
    until(lambda: up.get("/readyz").status_code == 200, START, "readiness")
    assert f"{kind} is alive and does nothing; it is ended" in up.output


def _tells_of_silence(up: Product) -> bool:
    """And not only of polls that are late still from the case before."""
    answer = up.get("/readyz")
    return answer.status_code == 503 and not json.loads(answer.text)["worker"]["ok"]


@pytest.mark.row("deaf")
def test_when_connections_fall_silent_work_goes_on_within_a_minute(rig: Rig, cases: Cases) -> None:
    """As containers run it: nobody watches worker and beat but they themselves. They make their
    connections anew, or the worker ends itself and is started again, as Docker would."""
    begin(rig, workers=1, beats=1)
    for _ in cases:
        rig.broker.freeze_all()
        frozen_at = time.monotonic()
        known = rig.good_polls()

        def has_gone_on() -> bool:
            for worker in rig.ended("worker"):
                assert "this worker ends itself" in worker.log.read_text(errors="replace")
                rig.launch("worker")
            now = rig.good_polls()
            return len([pk for pk in now if now[pk] != known.get(pk)]) > 2  # noqa: B023

        until(has_gone_on, 300, "work to go on")
        took = time.monotonic() - frozen_at
        cases.within(60, took, "work went on")


@pytest.mark.row("deaf")
def test_one_worker_of_two_that_goes_deaf_is_found_out_while_the_other_works(
    rig: Rig, cases: Cases
) -> None:
    """As with `docker compose up --scale worker=2`: the other takes all messages, so that none
    waits that would tell of the deaf one. In even cases it hears nothing for as long as it lives,
    whatever connections it makes; in odd ones only those that it has fall silent."""
    checker = begin(rig, workers=1, beats=1)
    other, line = rig.alive("worker")[0], rig.new_line()
    victim = rig.launch("worker", line)
    _wait_until_it_hears(rig, victim)
    for case in cases:
        is_for_good = case.number % 2 == 0
        if is_for_good:
            line.unheard = TAKES_MESSAGES
        else:
            line.freeze_all()
        begun = time.monotonic()
        _watch(victim, other, checker, cases, may_hear=not is_for_good)
        assert is_alive(other.pid), "the healthy worker ended"
        if rig.ended("worker"):
            cases.within(60, time.monotonic() - begun, "a deaf worker beside another ended")
            assert "this worker ends itself" in victim.log.read_text(errors="replace")
            line.unheard = None
            victim = rig.launch("worker", line)
            _wait_until_it_hears(rig, victim)
        else:
            _wait_until_it_hears(rig, victim)
            cases.within(60, time.monotonic() - begun, "a deaf worker beside another heard again")
        checker.look()
    finish(rig, checker)


TAKES_MESSAGES = b"BRPOP"
ALL_IS_DONE = 8.0  # seconds after which hardly a round is at work that was begun before


def _watch(
    victim: Worker, other: Worker, checker: Checker, cases: Cases, *, may_hear: bool
) -> None:
    """Until the deaf one has ended, or has most likely heard something if it can. The other must do
    the work of both meanwhile."""
    deaf_at, late, quiet = time.time(), 0.0, 0.0
    while is_alive(victim.pid):
        if may_hear and _last_round(victim) > deaf_at + ALL_IS_DONE:
            break
        assert time.time() - deaf_at < START, "a deaf worker neither ends nor hears again"
        checker.look()
        late = max(late, checker.wait_until_on_time(START))
        quiet = max(quiet, time.time() - _last_round(other))
        time.sleep(0.3)
    cases.within(RESUMES_WITHIN, late, "I5: beside a deaf worker all were in time")
    cases.within(BACK_WITHIN, quiet, "beside a deaf worker the other ended a round")


def _wait_until_it_hears(rig: Rig, worker: Worker) -> None:
    """A message that it alone can take is taken and done."""
    until(lambda: _last_round(worker), START, "a worker to begin")
    said_at = time.time()
    _say(rig, "runs.hear", 1, queue=_own_queue(worker))
    until(lambda: not rig.ask("LLEN", _own_queue(worker)), START, "a worker to take its message")
    until(lambda: _last_round(worker) > said_at, START, "a worker to do what it was told")


def _last_round(worker: Worker) -> float:
    """Unix seconds at which it told of one in Redis; 0 if it never did."""
    known = {one.name: one.seen_at for one in gauges.told().workers}
    return known.get(_own_name(worker), 0.0)


def _own_name(worker: Worker) -> str:
    return f"{socket.gethostname()}/{worker.pid}"


def _own_queue(worker: Worker) -> str:
    return f"{settings.CELERY_TASK_DEFAULT_QUEUE}:{_own_name(worker)}"


# Beats and messages -------------------------------------------------------------------------------

# Also those that tasks send themselves, and those that only some settings have sent.
TASKS = sorted(
    {str(entry["task"]) for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    | {"runs.register_callbacks", "dashboard.send_notices"}
)


@pytest.mark.row("beats")
def test_three_beats_and_messages_that_come_again_and_again_do_no_harm(
    rig: Rig, cases: Cases, client: Client
) -> None:
    """No run is asked about twice at once, or more often; no callback is asked for twice; who
    follows a run is told of its end once by each channel. And then no beat at all: told of by
    /readyz within a minute, and well again with the next."""
    with MailServer() as post, Webhook(delay=2) as hook:  # so that two can meet at one message
        rig.settings = {
            "PUBLIC_URL": f"http://127.0.0.1:{hook.port}",
            "EMAIL_URL": f"smtp+plain://127.0.0.1:{post.port}",
            "EMAIL_FROM": "runsheet@firm.example",
            "SECRET_KEY": settings.SECRET_KEY,  # webhooks are sealed by it
        }
        told = Told(rig, post, hook)
        rig.simulator.fault("slow", route="watch", delay=0.5)
        checker = begin(rig, workers=2, beats=3)
        for case in cases:
            followed, new = told.follow_one(case.number), told.start(case.number)
            rig.simulator.world.cancel(followed)
            asked, begun = rig.simulator.world.requests.total, time.monotonic()
            for turn in count():
                _say(rig, TASKS[turn % len(TASKS)], case.chance.randrange(2, 50))
                checker.look()
                time.sleep(0.3)
                if turn >= 4 * len(TASKS) and told.is_heard(followed, new):
                    break
                assert time.monotonic() - begun < START, "no notice, or no callback asked for"
            runs, seconds = len(rig.simulator.world.runs()), time.monotonic() - begun
            rate = (rig.simulator.world.requests.total - asked) / seconds
            assert rate <= runs / 5 * 1.5 + 2, f"{rate:.1f} requests a second for {runs} runs"
            cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
            told.prove_once()
            _do_without_beat(rig, cases, client)
        finish(rig, checker)
        told.prove_once()


class Told:
    """What left for people who follow runs, and what Case.dev was asked to call back about."""

    def __init__(self, rig: Rig, post: MailServer, hook: Webhook) -> None:
        self.rig, self.post, self.hook = rig, post, hook
        self.followed: dict[str, User] = {}  # by run id

    def start(self, number: int) -> SimulatedRun:
        return self.rig.simulator.start(
            "synthetic", steps=4_000, seconds=72_000, seed=number + 1, speed=1.0
        )

    def follow_one(self, number: int) -> SimulatedRun:
        """A run of its own, which goes on, and a person of its own who follows it."""
        started, person = self.start(number), account(f"mira{number}", "member")
        known = Run.objects.filter(run_id=started.id, status=Run.Status.RUNNING)
        until(known.exists, START, "a run to be found")
        choose(person, webhook=sealed.seal(self.hook.url))
        follows.follow(known.get(), person)
        self.followed[started.id] = person
        return started

    def is_heard(self, followed: SimulatedRun, new: SimulatedRun) -> bool:
        return bool(
            self._letters(followed.id) and self._posts(followed.id) and self._asked_back(new.id)
        )

    def prove_once(self) -> None:
        for run_id in self.followed:
            for channel, sent in (("mail", self._letters), ("webhook", self._posts)):
                assert sent(run_id) == 1, f"{sent(run_id)} notices by {channel} about {run_id}"
        for run in self.rig.simulator.world.runs():
            asked = self._asked_back(run.id)
            assert asked <= 1, f"{asked} callbacks were asked for about {run.id}"

    def _letters(self, run_id: str) -> int:
        address = self.followed[run_id].email
        return sum(recipients == [address] for _, recipients, _ in self.post.letters)

    def _posts(self, run_id: str) -> int:
        """The server takes callbacks too, which hold no text."""
        return sum(f"/runs/{run_id}/" in one.get("text", "") for one in self.hook.taken)

    def _asked_back(self, run_id: str) -> int:
        asked = self.rig.simulator.world.requests.by_run.get(run_id)
        return asked["watch"] if asked else 0


def _say(rig: Rig, task: str, times: int, queue: str | None = None) -> None:
    """Messages straight to the broker, as if one had been delivered so often."""
    with app.connection_for_write(rig.redis_url) as way:
        for _ in range(times):
            app.send_task(task, connection=way, queue=queue)


def _do_without_beat(rig: Rig, cases: Cases, client: Client) -> None:
    until(lambda: client.get("/readyz").status_code == 200, START, "readiness")
    beats = rig.alive("beat")
    for beat in beats:
        beat.end()
    begun = time.monotonic()
    until(lambda: client.get("/readyz").status_code == 503, 120, "the alarm without beat")
    cases.within(60, time.monotonic() - begun, "no beat at all was told of")
    assert client.get("/readyz").json()["beat"]["ok"] is False
    for _ in beats:
        rig.launch("beat")
    until(lambda: client.get("/readyz").status_code == 200, START, "readiness with beats again")


# Restarts -----------------------------------------------------------------------------------------


@pytest.mark.row("restarts")
def test_workers_that_are_asked_to_end_do_so_within_thirty_seconds(rig: Rig, cases: Cases) -> None:
    """SIGTERM in the middle of slow polls, one worker after the other, a migration meanwhile."""
    checker = begin(rig, workers=2, beats=1)
    for case in cases:
        kind = ("sigterm", "rolling", "migration")[case.number % 3]
        fault = rig.simulator.fault("slow", route="details", delay=case.chance.choice((0.0, 3.0)))
        workers = rig.alive("worker")
        if fault.delay:
            until(rig.in_flight, START, "a poll to be under way")
        if kind == "migration":
            _migrate()
        for worker in workers if kind == "rolling" else workers[:1]:
            took = worker.end(signal.SIGTERM, 120)
            cases.within(30, took, f"{kind}: a worker ended")
            rig.launch("worker")
        rig.simulator.world.faults.remove(fault.id)
        rig.wait_for_polls(START, 2, f"polls after {kind}")
        cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
        checker.look()
    assert "could not be stored" not in rig.log()
    finish(rig, checker)


def _migrate() -> None:
    """A column and an index come and go while workers write, as a migration would bring them. A
    column with a default is one for which SQLite makes the table anew."""
    column: Any = models.IntegerField(null=True, default=0)
    column.set_attributes_from_name("of_the_rig")
    index = models.Index(fields=["changed_at"], name="of_the_rig")
    with CaptureQueriesContext(connection) as statements:
        with connection.schema_editor() as editor:
            editor.add_field(Run, column)
            editor.add_index(Run, index)
        with connection.schema_editor() as editor:
            editor.remove_index(Run, index)
            editor.remove_field(Run, column)
    made = [one["sql"] for one in statements if one["sql"].startswith("CREATE TABLE")]
    assert len(made) == (connection.vendor == "sqlite"), made
