"""Notices on their way: servers that are away or refuse, forbidden addresses, killed workers."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.audit.models import AuditEntry
from dashboard.notices import follows, outbox, sealed
from dashboard.notices.models import Delivery, Follow, Message, Notice, NoticeChoice
from runs.models import Run
from tests.conftest import account
from tests.dashboard.noticing import choose, form, look, polled, send
from tests.dashboard.sinks import MailServer, Webhook
from tests.factories import make_runs
from tests.runs.polling import due_run, in_threads

pytestmark = pytest.mark.django_db


def a_message(member: User) -> Message:
    run = due_run()
    follows.follow(run, member)
    polled(run, status="failed")
    look()
    send()
    return Message.objects.latest("pk")


# When it cannot be sent -----------------------------------------------------------------------


def test_a_server_that_is_away_is_tried_for_a_day(post: MailServer, member: User):
    post.refuses["MAIL"] = "451 try later"
    message = a_message(member)
    assert message.given_up_at is None
    assert message.due_at is not None
    assert message.due_at > timezone.now()
    assert "451" in message.reason
    send()
    again = Message.objects.get()
    assert again.attempts == 2
    Message.objects.update(made_at=timezone.now() - outbox.GIVE_UP)
    send()
    assert Message.objects.get().given_up_at
    assert AuditEntry.objects.get(act="notice").result == "failed"
    post.refuses.clear()
    send()
    assert not post.letters


def test_a_server_that_comes_back_is_sent_the_same_letter(post: MailServer, member: User):
    post.refuses["DATA"] = "451 try later"
    a_message(member)
    post.refuses.clear()
    send()
    assert len(post.letters) == 1
    message = Message.objects.get()
    assert message.sent_at
    assert f"Message-ID: <runsheet-{message.pk}-" in post.letters[0][2]


@pytest.mark.parametrize("word", ["RCPT", "DATA"])
def test_what_a_server_refuses_for_good_is_not_tried_again(
    post: MailServer, member: User, word: str
):
    post.refuses[word] = "550 no such person"
    message = a_message(member)
    assert message.given_up_at
    assert "550 no such person" in message.reason


@pytest.mark.parametrize(
    ("status", "is_final"), [(404, True), (302, True), (500, False), (429, False)]
)
def test_a_hook_says_whether_to_try_again(hook: Webhook, member: User, status: int, is_final: bool):
    hook.status, hook.headers = status, {"Location": f"{hook.url}?2", "Retry-After": "600"}
    choose(member, webhook=sealed.seal(hook.url))
    message = a_message(member)
    assert bool(message.given_up_at) is is_final
    assert not hook.taken
    if status == 429:
        assert message.due_at is not None
        assert message.due_at > timezone.now() + dt.timedelta(minutes=9)


# Where it must not be sent --------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.8/x",
        "https://[::ffff:10.0.0.8]/x",
        "https://intranet/x",
        "https://user:pw@hooks.example.com/x",
        "https://hooks.example.com/x#y",
        "ftp://hooks.example.com",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nHost: x",
    ],
)
def test_an_address_that_leads_inward_is_neither_kept_nor_asked(
    member: User, member_client: Client, url: str
):
    answer = member_client.post("/notices/settings/", form(webhook_url=url))
    assert answer.status_code == 400
    assert not NoticeChoice.objects.exists()
    choose(member, webhook=sealed.seal(url))  # as if the rule had been another once
    message = a_message(member)
    assert message.given_up_at
    assert "The address" in message.reason


def test_a_name_that_leads_inward_is_not_asked(
    member: User, monkeypatch: pytest.MonkeyPatch, settings: Any
):
    """Whatever it led to when it was given in."""
    import socket

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.8", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    choose(member, webhook=sealed.seal("https://hooks.example.com/x"))
    message = a_message(member)
    assert message.attempts == 1
    assert "cannot be reached" in message.reason


def test_only_named_hosts_are_asked_if_any_are_named(
    member: User, member_client: Client, settings: Any
):
    settings.WEBHOOK_HOSTS = ["hooks.slack.com", ".chat.example"]
    for url in ("https://hooks.slack.com.evil.example/x", "https://slack.com/x"):
        answer = member_client.post("/notices/settings/", form(webhook_url=url))
        assert answer.status_code == 400
        assert "must be at hooks.slack.com or .chat.example" in answer.content.decode()
    for url in ("https://HOOKS.slack.com/x", "https://eu.chat.example/y?key=1"):
        chosen = form(webhook_url=url) | {"failed-webhook": "on"}
        assert member_client.post("/notices/settings/", chosen).status_code == 302
    settings.WEBHOOK_HOSTS = ["hooks.slack.com"]  # what was given before is held to it too
    assert "must be at hooks.slack.com" in a_message(member).reason


def test_a_loopback_address_is_for_the_demo_alone(member_client: Client, settings: Any):
    settings.EMBEDDED = False
    address = "http://127.0.0.1:8000/x"
    answer = member_client.post("/notices/settings/", form(webhook_url=address))
    assert answer.status_code == 400


# Killed, doubled, raced -----------------------------------------------------------------------


class Killed(BaseException):
    """As by kill -9: nothing of ours catches it."""


@pytest.mark.parametrize("point", ["bulk_create", "bulk_update"])
def test_a_look_that_is_killed_has_done_nothing_and_is_done_anew(
    member: User, monkeypatch: pytest.MonkeyPatch, point: str
):
    run = due_run()
    follows.follow(run, member)
    polled(run, status="failed")

    def kill(*args: Any, **options: Any) -> Any:
        raise Killed

    manager = Delivery.objects if point == "bulk_create" else Follow.objects
    choose(member, webhook=sealed.seal("https://hooks.example.com/x"))
    with monkeypatch.context() as patch:
        patch.setattr(type(manager), point, kill)
        with pytest.raises(Killed):
            look()
    assert not Notice.objects.exists()
    assert look() == 1
    assert Delivery.objects.count() == 1


def test_a_worker_killed_while_it_sends_leaves_the_message_to_the_next(
    post: MailServer, member: User, monkeypatch: pytest.MonkeyPatch
):
    run = due_run()
    follows.follow(run, member)
    polled(run, status="failed")
    look()

    def kill(*args: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("dashboard.notices.mail.Post.send", kill)
        with pytest.raises(Killed):
            send()
    assert outbox.send_due() == 0  # the lease holds
    send()
    assert len(post.letters) == 1


def test_no_message_is_claimed_twice(member: User):
    now = timezone.now()
    Message.objects.create(user=member, channel="email", kind="single", made_at=now, due_at=now)
    assert outbox.claim(now)
    assert outbox.claim(now) is None


def test_repeated_tasks_tell_once(post: MailServer, member: User):
    run = due_run()
    follows.follow(run, member)
    polled(run, status="failed")
    for _ in range(3):
        look()
        send()
    assert len(post.letters) == Notice.objects.count() == Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_workers_that_look_and_gather_at_once_tell_once(member: User, viewer: User):
    people = [member, viewer]
    for person in people:
        choose(person, webhook=sealed.seal("https://hooks.example.com/x"))
        for run in make_runs(4, status="running"):
            follows.follow(run, person)
    many = account("max", "member")
    choose(many, webhook=sealed.seal("https://hooks.example.com/x"))
    for run in make_runs(20, status="running"):
        follows.follow(run, many)
    Run.objects.update(status="completed", version=2)
    assert sum(in_threads(3, look)) == 28
    later = timezone.now() + outbox.SETTLE
    in_threads(3, lambda: outbox.gather(later))
    outbox.gather(later)
    assert not outbox.waiting().exists()
    for person in people:
        assert Message.objects.filter(user=person, kind="single").count() == 4
    assert Message.objects.get(user=many).deliveries.count() == 20
    assert not Message.objects.filter(deliveries=None).exists()
    held = in_threads(3, lambda: [one.pk for one in iter(lambda: outbox.claim(later), None)])
    every = sorted(Message.objects.values_list("pk", flat=True))
    assert sorted(key for some in held for key in some) == every
