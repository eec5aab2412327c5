"""What is sent of what was noticed: by letter or hook, one by one, many at once, or once a day."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.audit.models import AuditEntry
from dashboard.notes import flows as notes
from dashboard.notices import choices, follows, outbox, sealed
from dashboard.notices.models import Delivery, Message, Notice, NoticeChoice
from runs.models import Run
from tests.conftest import account
from tests.dashboard.noticing import choose, look, polled, send, usage
from tests.dashboard.sinks import MailServer, Webhook
from tests.factories import make_run, make_runs
from tests.runs.polling import due_run

pytestmark = pytest.mark.django_db

HOSTILE = "Privileged\r\nBcc: evil@example.com\u202e <!channel> & more"

# At once --------------------------------------------------------------------------------------


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
