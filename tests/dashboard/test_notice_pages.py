"""The pages of notices: what one was told, what one wants, following one run or many."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.audit.models import AuditEntry
from dashboard.notices import choices, events, follows, outbox, sealed
from dashboard.notices.models import Follow, Message, Notice, NoticeChoice, NoticeRules
from runs.models import Run
from tests.conftest import account, signed_in
from tests.dashboard.noticing import form
from tests.dashboard.sinks import MailServer, Webhook
from tests.factories import make_run, make_runs

pytestmark = pytest.mark.django_db

SETTINGS = "/notices/settings/"


def main(client: Client, address: str) -> str:
    return client.get(address).content.decode().partition("<main")[2].partition("</main")[0]


def said(answer: Any) -> str:
    """What the page that an answer leads to says above all."""
    found = re.search(r'<ul class="messages">(.*?)</ul>', answer.content.decode(), re.DOTALL)
    return found[1] if found else ""


# Following ------------------------------------------------------------------------------------


def test_a_run_is_followed_and_no_more(viewer: User, viewer_client: Client, member_client: Client):
    make_run("running", run_id="run_a")
    assert "Follow this run" in main(viewer_client, "/runs/run_a/")
    assert viewer_client.post("/runs/run_a/follow/")["Location"] == "/runs/run_a/"
    viewer_client.post("/runs/run_a/follow/")
    assert "You follow this run" in main(viewer_client, "/runs/run_a/")
    assert "You follow" not in main(member_client, "/runs/run_a/")  # nobody else sees it
    viewer_client.post("/runs/run_a/follow/", {"off": "1"})
    assert "Follow this run" in main(viewer_client, "/runs/run_a/")
    rows = AuditEntry.objects.filter(act="follow", run="run_a").order_by("number")
    assert [row.detail for row in rows] == ["follows it", "follows it no more"]
    assert viewer_client.post("/runs/run_nowhere/follow/").status_code == 404


def test_all_that_match_are_followed_after_their_number_was_told_and_taken_back(
    viewer: User, viewer_client: Client
):
    make_runs(130, status="running")
    make_runs(3)
    first = Run.objects.filter(status="running").first()
    assert first
    follows.follow(first, viewer)
    address = "/runs/follow/?status=running"
    assert address in viewer_client.get("/runs/?status=running").content.decode()
    html = main(viewer_client, address)
    assert "Follow 130 runs" in html
    assert "You follow 1 of them" in html
    make_run("running")
    answer = viewer_client.post(address, {"count": "130"})
    assert answer.status_code == 400
    assert "Meanwhile 131 runs match" in answer.content.decode()
    damaged = viewer_client.post(f"{address}&from=yesterday", {"count": "131"})
    assert damaged.status_code == 400
    assert Follow.objects.count() == 1
    answer = viewer_client.post(address, {"count": "131"}, follow=True)
    assert "You follow 130 more runs" in answer.content.decode()
    assert Follow.objects.filter(user=viewer, is_on=True).count() == 131
    (batch, _) = answer.redirect_chain[0]
    assert signed_in(account("other", "viewer")).post(batch).status_code == 404
    assert "Taken back for 130 runs" in said(viewer_client.post(batch, follow=True))
    assert Follow.objects.filter(is_on=True).count() == 1  # the one from before stays
    assert viewer_client.post(batch).status_code == 404
    told = AuditEntry.objects.filter(act="follow").order_by("number")
    assert told[1].detail == "follows 130 runs more: status=running"


def test_all_that_match_are_followed_no_more_and_again(viewer: User, viewer_client: Client):
    for run in make_runs(4, status="running"):
        follows.follow(run, viewer)
    address = "/runs/follow/?status=running"
    assert "Unfollow 4" in main(viewer_client, address)
    answer = viewer_client.post(address, {"count": "4", "off": "1"}, follow=True)
    assert "You follow 4 runs less" in answer.content.decode()
    Run.objects.update(status="failed", version=2)
    assert events.look(timezone.now()) == 0
    viewer_client.post(answer.redirect_chain[0][0])
    assert events.look(timezone.now()) == 4  # as if nothing had been done
    again = viewer_client.post("/runs/follow/?status=failed", {"count": "4"}, follow=True)
    assert "Nothing was to be changed" in said(again)


# What one was told ----------------------------------------------------------------------------


def test_notices_are_listed_with_what_became_of_them(
    viewer: User, viewer_client: Client, settings: Any
):
    assert "No notices yet" in main(viewer_client, "/notices/")
    with Webhook() as hook:
        choices.keep(_with_hook(viewer, hook.url), viewer)
        run = make_run("running", run_id="run_a", prompt="A <b>matter</b>")
        follows.follow(run, viewer)
        Run.objects.update(status="failed", version=2)
        events.look(timezone.now())
        html = main(viewer_client, "/notices/")
        assert "waiting" in html
        assert "A &lt;b&gt;matter&lt;/b&gt;" in html
        outbox.gather(timezone.now() + outbox.SETTLE)
        hook.status = 500
        Message.objects.update(due_at=timezone.now())
        outbox.send_due()
        assert "The webhook answered 500." in main(viewer_client, "/notices/")
        hook.status = 200
        Message.objects.update(due_at=timezone.now())
        outbox.send_due()
        html = main(viewer_client, "/notices/")
        assert "sent" in html
        assert "answered 500" not in html
        assert hook.url[-12:] not in html
    bar = viewer_client.get("/").content.decode()
    assert "Notices <b>1</b>" in bar
    viewer_client.post("/notices/seen/")
    assert "Notices</a>" in viewer_client.get("/").content.decode()


def test_nobody_sees_what_another_was_told(viewer_client: Client, member: User):
    follows.follow(make_run("running", run_id="run_a"), member)
    Run.objects.update(status="failed", version=2)
    events.look(timezone.now())
    assert "run_a" not in main(viewer_client, "/notices/")
    viewer_client.post("/notices/seen/")
    assert Notice.objects.get().seen_at is None


def test_a_long_list_has_pages(viewer: User, viewer_client: Client):
    for run in make_runs(60, status="running"):
        follows.follow(run, viewer)
    Run.objects.update(status="completed", version=2)
    events.look(timezone.now())
    html = main(viewer_client, "/notices/")
    assert html.count("<li>") == 50
    older = re.search(r'rel="next" href="(\?before=\d+)"', html)
    assert older
    assert main(viewer_client, f"/notices/{older[1]}").count("<li>") == 10
    assert main(viewer_client, "/notices/?before=x").count("<li>") == 50


# What one wants -------------------------------------------------------------------------------


def _with_hook(user: User, url: str) -> NoticeChoice:
    choice = choices.of(user)
    choice.webhook = sealed.seal(url)
    return choice


def test_choices_are_kept_and_the_address_is_never_shown_whole(viewer: User, viewer_client: Client):
    url = "https://hooks.slack.com/services/T000/B000/verysecretx7Qz"
    given = form(**{"failed-email": "on", "cost-webhook": "on"}, limit="0.185101", webhook_url=url)
    given |= {"pace": "daily", "hour": "17", "time_zone": "America/New_York"}
    answer = viewer_client.post(SETTINGS, given, follow=True)
    assert "Your choices are kept" in said(answer)
    kept = NoticeChoice.objects.get()
    assert kept.switches == {"email": ["failed"], "webhook": ["cost"]}
    assert (kept.limit_micros, kept.hour) == (185_101, 17)
    assert not kept.follows_added
    html = answer.content.decode()
    assert "hooks.slack.com, ending in x7Qz" in html
    assert "verysecret" not in html
    assert "verysecret" not in kept.webhook
    assert 'value="0.185101"' in html
    assert "<option selected>America/New_York</option>" in html
    told = AuditEntry.objects.get(act="notices-set")
    assert "verysecret" not in told.detail
    viewer_client.post(SETTINGS, form())  # an empty field leaves it
    assert sealed.unseal(NoticeChoice.objects.get().webhook).reveal() == url
    viewer_client.post(SETTINGS, form(forget_webhook="on"))
    assert NoticeChoice.objects.get().webhook == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "1.0000001"},
        {"limit": "much"},
        {"limit": "-1"},
        {"hour": "24"},
        {"pace": "hourly"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
    ],
)
def test_what_cannot_be_is_refused(viewer_client: Client, wrong: dict[str, str]):
    answer = viewer_client.post(SETTINGS, form(**wrong))
    assert answer.status_code == 400
    assert 'class="error"' in answer.content.decode()
    assert not NoticeChoice.objects.exists()


def test_what_cannot_be_sent_is_said(viewer: User, viewer_client: Client, settings: Any):
    html = main(viewer_client, SETTINGS)
    assert "This installation sends no e-mail" in html
    answer = viewer_client.post("/notices/test/", {"channel": "email"}, follow=True)
    assert "No test was sent" in said(answer)
    settings.MAILERS = {"default": {"OPTIONS": {"host": "127.0.0.1", "port": 1}}}
    User.objects.filter(pk=viewer.pk).update(email="")
    assert "Your account has no e-mail address" in main(viewer_client, SETTINGS)
    answer = viewer_client.post("/notices/test/", {"channel": "pigeon"}, follow=True)
    assert said(answer) == ""


def test_a_test_is_sent_and_its_result_is_told(viewer: User, viewer_client: Client, settings: Any):
    with MailServer() as post:
        settings.MAILERS = post.mailers
        answer = viewer_client.post("/notices/test/", {"channel": "email"}, follow=True)
        assert "The mail server took the test" in said(answer)
        assert "a test" in post.letters[0][2]
        answer = viewer_client.post("/notices/test/", {"channel": "email"}, follow=True)
        assert "wait 10 seconds" in said(answer)
        assert len(post.letters) == 1
    with Webhook() as hook:
        hook.status = 404
        choices.keep(_with_hook(viewer, hook.url), viewer)
        answer = viewer_client.post("/notices/test/", {"channel": "webhook"}, follow=True)
        assert "The test by webhook failed. The webhook answered 404." in said(answer)


def test_a_server_that_nobody_reaches_is_told_of(viewer_client: Client, settings: Any):
    settings.MAILERS = {"default": {"OPTIONS": {"host": "127.0.0.1", "port": 1, "timeout": 5}}}
    answer = viewer_client.post("/notices/test/", {"channel": "email"}, follow=True)
    assert "The mail server cannot be reached (ConnectionRefusedError)" in said(answer)


def test_an_address_of_another_key_is_asked_for_again(
    viewer: User, viewer_client: Client, settings: Any
):
    choices.keep(_with_hook(viewer, "https://hooks.example.com/x"), viewer)
    settings.SECRET_KEY = "another key of fifty characters, as a change brings"
    viewer_client.force_login(viewer)
    assert "can no longer be read" in main(viewer_client, SETTINGS)
    answer = viewer_client.post("/notices/test/", {"channel": "webhook"}, follow=True)
    assert "give its address again" in said(answer)


# What the site allows -------------------------------------------------------------------------


def test_what_messages_may_hold_is_for_admins(admin: User, member_client: Client):
    assert member_client.get("/notices/rules/").status_code == 403
    assert member_client.post("/notices/rules/", {"limit": "1"}).status_code == 403
    assert "/notices/rules/" not in main(member_client, SETTINGS)
    client = signed_in(admin)
    assert "/notices/rules/" in main(client, SETTINGS)
    assert "no text of it" in main(client, SETTINGS)
    answer = client.post("/notices/rules/", {"limit": "12.5", "tells_title": "on"}, follow=True)
    assert "is kept" in said(answer)
    kept = NoticeRules.objects.get()
    assert (kept.limit_micros, kept.tells_title, kept.tells_cost) == (12_500_000, True, False)
    assert kept.changed_by == admin
    told = AuditEntry.objects.get(act="setting")
    assert told.detail == "messages tell: cost off, title on, limit 12500000 micro-dollars"
    assert "the first line of its prompt" in main(client, SETTINGS)
    assert client.post("/notices/rules/", {"limit": "free"}).status_code == 400


def test_the_team_is_told_of_what_cannot_be_sent(viewer: User, viewer_client: Client):
    def told() -> str:
        rows = main(viewer_client, "/status/").split("<tr>")
        return next(row for row in rows if ">Notices</th>" in row)

    assert "None waits to be sent" in told()
    now = timezone.now()
    message = Message.objects.create(
        user=viewer, channel="email", kind="single", made_at=now, due_at=now
    )
    assert "1 to be sent." in told()
    Message.objects.update(reason="The mail server answered 451.")
    assert "1 tried in vain so far; 0 given up in the last day" in told()
    Message.objects.filter(pk=message.pk).update(due_at=None, given_up_at=now)
    assert "1 given up" in told()
    assert "EMAIL_URL" in told()
    metrics = Client().get("/metrics").content.decode()
    assert "runsheet_notices_given_up 1.0" in metrics
    assert "runsheet_notices_waiting 0.0" in metrics
