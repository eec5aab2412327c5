"""What is told of runs that people follow: once, only what is new, and only to who may know."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.audit.models import AuditEntry
from dashboard.notes import flows as notes
from dashboard.notices import choices, events, follows, outbox, sealed
from dashboard.notices.models import Delivery, Event, Follow, Message, Notice, NoticeChoice
from runs.models import Poll, Run, Upstream
from tests.conftest import account, signed_in
from tests.dashboard.sinks import MailServer, Webhook
from tests.factories import make_run, make_runs, make_steps
from tests.runs.polling import Api, due_run, in_threads, make_due, now_details

pytestmark = pytest.mark.django_db

HOSTILE = "Privileged\r\nBcc: evil@example.com\u202e <!channel> & more"


@pytest.fixture
def post(settings: Any) -> Iterator[MailServer]:
    """The mail server that this installation sends through."""
    with MailServer() as server:
        settings.MAILERS = server.mailers
        settings.DEFAULT_FROM_EMAIL = "Runsheet <runsheet@firm.example>"
        settings.PUBLIC_URL = "https://runs.example.org"
        yield server


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


def choose(user: User, **fields: Any) -> NoticeChoice:
    choice = choices.of(user)
    for name, value in fields.items():
        setattr(choice, name, value)
    choices.keep(choice, user)
    return choice


def polled(run: Run, **fields: Any) -> None:
    """Case.dev says this of the run now."""
    Poll.objects.exclude(pk=run.pk).update(due_at=None)
    make_due(run)
    now = timezone.now().isoformat()
    fields = {"startedAt": now, "steps": [], "entries": []} | fields
    assert Api(now_details(run.run_id, **fields)).poll() == 1
    run.refresh_from_db()


def look(seconds: float = 0) -> int:
    return events.look(timezone.now() + dt.timedelta(seconds=seconds))


def send() -> None:
    """As the worker does, once what came is counted together."""
    later = timezone.now() + outbox.SETTLE
    outbox.gather(later)
    outbox.digests(later)
    Message.objects.filter(due_at__gt=timezone.now()).update(due_at=timezone.now())
    outbox.send_due()


def told(user: User) -> list[str]:
    return list(Notice.objects.filter(user=user).order_by("pk").values_list("event", flat=True))


# What is noticed ------------------------------------------------------------------------------


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


def usage(micros: int) -> dict[str, Any]:
    return {"summary": {"costMicros": micros}}


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


# What is sent ---------------------------------------------------------------------------------


def test_a_letter_says_what_and_where_and_nothing_privileged(post: MailServer, member: User):
    run = due_run(run_id="run_0123456789abcdefghij", prompt=HOSTILE)
    follows.follow(run, member)
    polled(run, status="failed", prompt=HOSTILE, usage=usage(1_234_567))
    look()
    send()
    ((sender, recipients, letter),) = post.letters
    assert (sender, recipients) == ("runsheet@firm.example", ["mira@firm.example"])
    head, _, body = letter.replace("\r\n", "\n").partition("\n\n")
    assert "Subject: Runsheet: run run_0123456789ab... failed" in head
    assert "List-Unsubscribe: <https://runs.example.org/notices/settings/>" in head
    assert "https://runs.example.org/runs/run_0123456789abcdefghij/" in body
    assert "$1.234567" in body
    assert "Privileged" not in letter
    assert "evil" not in letter
    sent = AuditEntry.objects.get(act="notice")
    assert (sent.run, sent.detail) == (run.run_id, "to mira by e-mail, sent")


def test_the_first_line_of_a_prompt_is_told_only_if_the_site_says_so(
    post: MailServer, hook: Webhook, member: User
):
    rules = choices.rules()
    rules.tells_title, rules.tells_cost = True, False
    choices.keep_rules(rules, member)
    choose(member, webhook=sealed.seal(hook.url))
    run = due_run(prompt=HOSTILE)
    follows.follow(run, member)
    polled(run, status="completed", prompt=f"{HOSTILE} first\nPrivileged second", usage=usage(5))
    look()
    send()
    ((_, _, letter),) = post.letters
    head, _, body = letter.replace("\r\n", "\n").partition("\n\n")
    assert "“Privileged”" in body or "Privileged" in body
    assert "Bcc" not in letter
    assert "Privileged" not in head
    assert "Cost" not in body
    (text,) = hook.texts
    assert "Privileged" in text
    assert "<!channel>" not in text


def test_a_hook_is_told_in_slacks_form(hook: Webhook, member: User):
    choose(member, webhook=sealed.seal(hook.url))
    run = due_run(run_id="run_a")
    follows.follow(run, member)
    polled(run, status="completed")
    look()
    send()
    assert list(hook.taken[0]) == ["text"]
    assert hook.texts[0].startswith("Run run_a completed.\nStatus: completed")
    assert not Delivery.objects.filter(channel="email").exists()  # no mail server is set up


def test_switches_say_what_goes_where(post: MailServer, hook: Webhook, member: User):
    choose(
        member,
        webhook=sealed.seal(hook.url),
        switches={"email": ["failed"], "webhook": ["completed"]},
    )
    failed, completed, cancelled = due_run(run_id="run_f"), due_run(run_id="run_c"), due_run()
    for run in (failed, completed, cancelled):
        follows.follow(run, member)
    polled(failed, status="failed")
    polled(completed, status="completed")
    look()
    send()
    assert len(post.letters) == len(hook.texts) == 1
    assert "run_f" in post.letters[0][2]
    assert "run_c" in hook.texts[0]
    assert Notice.objects.count() == 2


def test_many_at_once_come_in_one_message(post: MailServer, member: User):
    runs = make_runs(120, status="running")
    for run in runs:
        follows.follow(run, member)
    Run.objects.update(status="completed", version=2)
    look()
    send()
    ((_, _, letter),) = post.letters
    assert "120 notices at once" in letter
    assert letter.count("/runs/run_") == 100
    assert "and 20 more" in letter
    one = due_run()
    follows.follow(one, member)
    polled(one, status="failed")
    look()
    send()
    assert len(post.letters) == 2
    assert AuditEntry.objects.filter(act="notice", detail__contains="120 notices").count() == 1


def test_singles_stay_few(post: MailServer, member: User):
    for _ in range(outbox.MOST_SINGLE + 3):
        run = due_run()
        follows.follow(run, member)
        polled(run, status="failed")
        look()
        send()
    assert len(post.letters) == outbox.MOST_SINGLE + 1  # the sixth is one "together"
    assert Message.objects.filter(kind="together").count() == 1
    assert outbox.waiting().count() == 2  # for the next of these


def test_who_is_mentioned_is_told_and_not_of_what_is_taken_back(post: MailServer, member: User):
    account("violet", "viewer")
    run = make_run(run_id="run_a")
    notes.write(run, member, "Privileged: @violet, look")
    gone = notes.write(run, member, "And @violet this")
    notes.take_back(gone, member)
    send()
    ((_, recipients, letter),) = post.letters
    assert recipients == ["violet@firm.example"]
    assert "has a note that mentions you" in letter
    assert "Privileged" not in letter


def test_who_lost_the_right_meanwhile_is_sent_nothing(post: MailServer, member: User):
    run = due_run()
    follows.follow(run, member)
    polled(run, status="failed")
    look()
    member.groups.clear()
    send()
    assert not post.letters
    assert "may not see runs" in Message.objects.get().reason


# When it cannot be sent -----------------------------------------------------------------------


def a_message(member: User) -> Message:
    run = due_run()
    follows.follow(run, member)
    polled(run, status="failed")
    look()
    send()
    return Message.objects.latest("pk")


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


# Digests --------------------------------------------------------------------------------------


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "hour", "day", "moment"),
    [
        ("UTC", 8, "2026-11-24", "2026-11-24T08:00+00:00"),
        ("America/New_York", 8, "2026-11-24", "2026-11-24T13:00+00:00"),
        # Clocks go forward: there is no 02:00 on that day.
        ("America/New_York", 2, "2026-03-08", "2026-03-08T07:00+00:00"),
        ("America/New_York", 3, "2026-03-08", "2026-03-08T07:00+00:00"),
        # And back: 01:00 comes twice, and counts as the first.
        ("America/New_York", 1, "2026-11-01", "2026-11-01T05:00+00:00"),
        ("Europe/Berlin", 2, "2026-10-25", "2026-10-25T00:00+00:00"),
        ("Pacific/Apia", 8, "2026-11-24", "2026-11-23T19:00+00:00"),
    ],
)
def test_a_digest_has_its_moment_on_every_day(
    zone: str, hour: int, day: str, moment: str, member: User
):
    choice = NoticeChoice(user=member, switches={}, hour=hour, time_zone=zone, pace="daily")
    assert choices.moment(choice, dt.date.fromisoformat(day)) == at(moment)
    choice.digested_on = dt.date.fromisoformat(day) - dt.timedelta(days=1)
    assert choices.digest_day(choice, at(moment) - dt.timedelta(seconds=1)) is None
    assert choices.digest_day(choice, at(moment)) == dt.date.fromisoformat(day)
    choice.digested_on = dt.date.fromisoformat(day)
    assert choices.digest_day(choice, at(moment) + dt.timedelta(hours=2)) is None


def test_a_digest_holds_what_happened_and_comes_once_a_day(post: MailServer, member: User):
    first, second = due_run(run_id="run_1"), due_run(run_id="run_2")
    for run in (first, second):
        follows.follow(run, member)
    now = timezone.now()
    choose(member, pace="daily", hour=now.hour)
    assert NoticeChoice.objects.get().digested_on == now.date()  # it is past: from tomorrow
    polled(first, status="failed")
    polled(second, status="completed")
    look()
    send()
    assert not post.letters
    tomorrow = now + dt.timedelta(days=1)
    assert outbox.digests(tomorrow) == 1
    assert outbox.digests(tomorrow) == 0
    Message.objects.update(due_at=now)
    outbox.send_due()
    ((_, _, letter),) = post.letters
    assert ": 2 notices" in letter
    assert "Run run_1 failed" in letter
    assert "Run run_2 completed" in letter
    assert outbox.digests(tomorrow + dt.timedelta(days=1)) == 0  # nothing happened
    assert not outbox.waiting().exists()


def form(**fields: Any) -> dict[str, Any]:
    return {"pace": "at-once", "hour": "8", "time_zone": "UTC", "limit": ""} | fields


def test_signing_in_is_needed_to_follow(client: Client):
    make_run(run_id="run_a")
    assert client.post("/runs/run_a/follow/").status_code == 302
    assert not Follow.objects.exists()
    assert signed_in(account("v", "viewer")).post("/runs/run_a/follow/").status_code == 302
    assert Follow.objects.count() == 1
