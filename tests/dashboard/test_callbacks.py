"""Case.dev calls when a run ends: registered once, believed in nothing, a poll sooner."""

import datetime as dt
import logging
import queue
import threading
from collections import Counter
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.db.models import Min
from django.test import Client
from django.utils import timezone

from dashboard import logs
from dashboard.audit.models import AuditEntry
from runs import callbacks, gauges, poller, tasks
from runs.models import Callback, Poll, Run, Upstream
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run
from tests.product import until
from tests.runs import polling
from tests.runs.answers import client_of, reply

HOUR = dt.timedelta(hours=1)


class Api:
    """Case.dev's `watch`: answers as told, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers]
        self.asked: list[tuple[str, bytes]] = []
        self.client = client_of(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((f"{request.method} {request.url.path}", request.read()))
        said = self.answers.pop(0) if self.answers else reply({"ok": True})
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, httpx.Response)
        return said

    def register(self) -> int:
        return callbacks.register_due(self.client)


@pytest.fixture
def public(settings: Any) -> None:
    settings.PUBLIC_URL = "https://runs.example.org"
    settings.CASEDEV_BASE_URL = "https://api.case.dev"


def due_again() -> None:
    Callback.objects.exclude(next_at=None).update(next_at=timezone.now() - HOUR)


def called(client: Client, run: Run, **options: Any) -> int:
    return client.post(
        f"/callbacks/{callbacks.token(run.run_id)}/", b"{}", "application/json", **options
    ).status_code


@pytest.mark.django_db
def test_each_active_run_is_registered_once_at_an_address_of_its_own(public: None) -> None:
    first, second = make_run("running"), make_run("queued")
    make_run("completed")
    api = Api()
    assert api.register() == 2
    assert {line for line, _ in api.asked} == {
        f"POST /agent/v1/run/{run.run_id}/watch" for run in (first, second)
    }
    sent = {body for _, body in api.asked}
    assert len(sent) == 2
    url = f'{{"callbackUrl":"https://runs.example.org/callbacks/{callbacks.token(first.run_id)}/"}}'
    assert url.encode() in sent
    assert len(callbacks.token(first.run_id)) == 43
    assert api.register() == 0
    assert len(api.asked) == 2
    assert Callback.objects.filter(registered_at=None).count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://runs.example.org",
        "https://localhost",
        "https://10.0.0.8",
        "https://runs.internal",
        "https://[::1]",
    ],
)
def test_nothing_is_asked_for_at_an_address_that_case_dev_cannot_or_must_not_reach(
    public: None, settings: Any, client: Client, url: str
) -> None:
    settings.PUBLIC_URL = url
    run, api = make_run("running"), Api()
    assert api.register() == 0
    assert api.asked == []
    assert not Callback.objects.exists()
    assert called(client, run) == 404


@pytest.mark.django_db
def test_what_goes_wrong_is_kept_tried_again_and_hurts_no_poll(public: None) -> None:
    run = make_run("running")
    token = callbacks.token(run.run_id)
    wordy = {"error": {"message": f"callbackUrl .../callbacks/{token}/ is not allowed"}}
    api = Api(reply(wordy, 400), httpx.ConnectError("no"), reply(b"<html>", 502), reply({}, 409))
    for tries in range(1, 5):
        assert api.register() == 0
        kept = Callback.objects.get(run=run)
        assert (kept.attempts, kept.registered_at) == (tries, None)
        assert kept.next_at is not None
        assert kept.next_at > timezone.now()
        assert kept.last_error
        assert token not in kept.last_error
        assert api.register() == 0  # not before its time
        due_again()
    assert api.register() == 1
    poll = Poll.objects.get(run=run)
    assert (poll.failures, poll.last_error) == (0, "")
    assert not Upstream.objects.exclude(failures=0).exists()


@pytest.mark.django_db
def test_what_is_refused_for_good_is_given_up(public: None) -> None:
    make_run("running")
    api = Api(*(reply({"message": "no"}, 400) for _ in range(9)))
    for _ in range(6):
        api.register()
        due_again()
    assert len(api.asked) == callbacks.TRIES_REFUSED
    assert Callback.objects.get().next_at is None


@pytest.mark.django_db
def test_an_outage_or_a_limit_stops_the_turn_and_a_breaker_all_of_them(public: None) -> None:
    for _ in range(3):
        make_run("running")
    api = Api(httpx.ConnectError("no"))
    api.register()
    assert len(api.asked) == 1
    due_again()
    api.answers = [reply({}, 429, retry_after="30")]
    api.register()
    assert len(api.asked) == 2
    due_again()
    assert Upstream.objects.get().is_paused(timezone.now())
    assert api.register() == 0
    Upstream.objects.update(paused_until=None, state=Upstream.State.DOWN)
    assert api.register() == 0
    assert len(api.asked) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("answer", [b"", b"not json", b"[]", b'{"ok":false}', b'{"ok":true}'])
def test_every_answer_of_2xx_is_taken(public: None, answer: bytes) -> None:
    make_run("running")
    assert Api(reply(answer, 202)).register() == 1


@pytest.mark.django_db
def test_a_callback_makes_its_run_due_and_no_other(public: None, client: Client) -> None:
    run, other = make_run("running"), make_run("running")
    Api().register()
    Poll.objects.update(due_at=timezone.now() + HOUR)
    assert called(client, run) == 204
    assert Poll.objects.get(run=run).due_at <= timezone.now()  # type: ignore[operator]
    assert Poll.objects.get(run=other).due_at > timezone.now()  # type: ignore[operator]
    assert gauges.told().callbacks == 1


@pytest.mark.django_db
def test_many_callbacks_are_one(public: None, client: Client) -> None:
    run = make_run("running")
    Api().register()
    assert called(client, run) == 204
    Poll.objects.update(due_at=timezone.now() + HOUR)
    with polling.RecordedStatements() as statements:
        for _ in range(20):
            assert called(client, run) == 204
    assert all(statement.startswith("SELECT") for statement in statements)
    assert Poll.objects.get().due_at > timezone.now()  # type: ignore[operator]
    assert gauges.told().callbacks == 1
    Callback.objects.update(called_at=timezone.now() - callbacks.AGAIN_AFTER)
    assert called(client, run) == 204
    assert Poll.objects.get().due_at <= timezone.now()  # type: ignore[operator]


@pytest.mark.django_db
def test_a_callback_is_heard_again_after_a_clock_that_was_ahead(
    public: None, client: Client
) -> None:
    run = make_run("running")
    Api().register()
    Callback.objects.update(called_at=timezone.now() + HOUR)
    Poll.objects.update(due_at=timezone.now() + HOUR)
    assert called(client, run) == 204
    assert Poll.objects.get().due_at <= timezone.now()  # type: ignore[operator]


@pytest.mark.django_db
def test_backoff_and_a_run_that_has_ended_are_left_alone(public: None, client: Client) -> None:
    failing, ended = make_run("running", poll_failures=2), make_run("running")
    Api().register()
    Run.objects.filter(pk=ended.pk).update(status="completed")
    Poll.objects.update(due_at=timezone.now() + HOUR)
    Poll.objects.filter(run=ended).update(lane=Poll.Lane.SETTLING)
    assert called(client, failing) == called(client, ended) == 204
    earliest = Poll.objects.aggregate(at=Min("due_at"))["at"]
    assert earliest > timezone.now()


@pytest.mark.django_db
def test_a_callback_before_the_first_poll_works(public: None, client: Client) -> None:
    run = make_run("queued", poll_last_ok_at=None, poll_last_tried_at=None, version=0)
    Api().register()
    Poll.objects.update(due_at=timezone.now() + HOUR)
    assert called(client, run) == 204
    assert Poll.objects.get(run=run).due_at <= timezone.now()  # type: ignore[operator]


@pytest.mark.django_db
@pytest.mark.usefixtures("public")
def test_a_callback_while_its_run_is_being_asked_about_is_not_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the answer says may be older than the callback: the run is asked about once more."""
    run = make_run("running", poll_due_at=timezone.now() - HOUR)
    quiet = make_run("running", poll_due_at=timezone.now() + HOUR)
    Api().register()
    case_dev = polling.Api()

    def answer(run_id: str) -> bytes:
        if len(case_dev.asked) == 1:
            assert called(client, run) == 204
            return polling.now_details(run_id, status="running")
        return polling.now_details(run_id, status="completed")

    case_dev.for_all = answer
    monkeypatch.setattr(poller, "client", lambda: case_dev.client)
    for _ in range(4):
        tasks.poll_due()
    assert case_dev.asked == [run.run_id] * 2
    assert Run.objects.get(pk=run.pk).status == "completed"
    assert Poll.objects.get(run=quiet).due_at > timezone.now()  # type: ignore[operator]


@pytest.mark.django_db
@pytest.mark.usefixtures("public")
def test_a_callback_during_a_poll_that_fails_cuts_no_backoff_short(client: Client) -> None:
    run = make_run("running", poll_due_at=timezone.now() - HOUR)
    Api().register()
    case_dev = polling.Api()

    def answer(run_id: str) -> Any:
        assert called(client, run) == 204
        return reply({}, 503)

    case_dev.for_all = answer
    for _ in range(3):
        callbacks.remind()
        case_dev.poll()
    assert case_dev.asked == [run.run_id]


@pytest.mark.django_db
def test_whoever_guesses_learns_nothing_and_writes_nothing(public: None, client: Client) -> None:
    run = make_run("running")
    Api().register()
    unregistered = callbacks.token("run_unknown")
    answers = [
        client.post(f"/callbacks/{token}/", b"x", "text/plain")
        for token in ("A" * 43, "x", unregistered, run.run_id, "%00", "é")
    ]
    for one in answers:
        one.headers.pop("Expires", None)  # the second in which it was made
    told = {(one.status_code, one.content, tuple(sorted(one.headers.items()))) for one in answers}
    assert len(told) == 1
    assert answers[0].status_code == 404
    for method in ("get", "head", "put", "patch", "delete", "options"):
        told_method = getattr(client, method)(f"/callbacks/{callbacks.token(run.run_id)}/")
        assert told_method.status_code == 405
    assert Callback.objects.get().called_at is None
    assert not AuditEntry.objects.filter(page="callback").exists()
    strict = Client(enforce_csrf_checks=True)
    assert called(strict, run) == 204
    assert called(client, run, headers={"Host": "evil.example"}) == 400


def test_no_log_line_holds_a_token(caplog: pytest.LogCaptureFixture) -> None:
    logs.install()
    address = f"https://runs.example.org/callbacks/{callbacks.token('run_a')}/"
    with caplog.at_level(logging.INFO):
        logging.getLogger("somebody").info("POST %s", address)
    assert callbacks.token("run_a") not in caplog.text
    assert "callbacks/***" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.simulator(manual=True)
def test_from_end_to_end_a_run_that_ends_is_read_at_once(
    simulator: SimulatorServer, site: str, settings: Any
) -> None:
    settings.PUBLIC_URL = site
    simulated = simulator.start("clause_lookup")
    run = make_run("queued", run_id=simulated.id, version=0, step_count=0)
    assert callbacks.register_due() == 1
    Poll.objects.update(due_at=timezone.now() + HOUR)
    simulator.advance(120)
    due = Poll.objects.filter(due_at__lte=timezone.now() + HOUR / 2)
    until(due.exists, 20, "the simulator to call back")
    poller.poll_due()
    assert Run.objects.get(pk=run.pk).status == "completed"


@pytest.mark.django_db(transaction=True)
def test_its_answer_asks_case_dev_for_nothing_and_a_large_body_is_not_read(
    site: str, settings: Any
) -> None:
    """How long it takes is measured by `make bench`, section callbacks."""
    settings.PUBLIC_URL = site
    settings.CASEDEV_BASE_URL = "http://127.0.0.1:1"
    run = make_run("running")
    Api().register()
    path = f"{site}/callbacks/{callbacks.token(run.run_id)}/"
    with httpx.Client(trust_env=False, timeout=20) as http:
        assert http.post(path, json={"runId": "run_other", "status": "failed"}).status_code == 204
        assert http.post(path, content=b"x" * 3_000_000).status_code == 204
    assert Run.objects.get(pk=run.pk).status == "running"
    assert Poll.objects.get(pk=run.pk).fence == 0  # asking is the poller's


@pytest.mark.django_db(transaction=True)
def test_its_answer_takes_few_statements_and_a_repeated_one_waits_for_no_lock(
    public: None, client: Client
) -> None:
    run = make_run("running")
    Api().register()
    with polling.RecordedStatements() as statements:
        assert called(client, run) == 204
    verbs = Counter(sql.split()[0] for sql in statements)
    assert verbs["SELECT"] == 1
    assert verbs["UPDATE"] == 2
    assert verbs.keys() <= {"SELECT", "UPDATE", "BEGIN"}
    told = queue.SimpleQueue[int]()

    def call_again() -> None:
        try:
            told.put(called(Client(), run))
        finally:
            connection.close()

    caller = threading.Thread(target=call_again, daemon=True)
    with transaction.atomic():  # which on SQLite holds the lock of the whole database
        Callback.objects.update(attempts=1)
        Poll.objects.update(failures=0)
        caller.start()
        assert told.get(timeout=15) == 204  # who waited for it would wait for longer
    caller.join()
