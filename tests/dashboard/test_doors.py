"""How a browser comes in by a link, what is asked of it, and when it is out again."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connections
from django.test import Client
from django.utils import timezone

from dashboard import guesses, sharing
from dashboard.disclosure.rules import Part
from dashboard.models import FrozenCopy, ShareLink, ShareView
from runs.models import Run
from tests.conftest import account, signed_in
from tests.dashboard.links import DOWNLOADS, PAGES, full_run, link_of, only_link, share

pytestmark = pytest.mark.django_db

BROWSER = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


def browser() -> Client:
    return Client(headers=BROWSER)


def gone() -> bytes:
    return Client().get(f"/s/{'A' * 43}/").content


# The exchange ------------------------------------------------------------------------------------


def test_a_browser_trades_its_token_for_a_cookie_and_an_address_without_it(member: User) -> None:
    token = share(full_run(), member)
    client = browser()
    first = client.get(f"/s/{token}/")
    assert first.status_code == 302
    here = first["Location"]
    assert re.fullmatch(r"/s/-/[A-Za-z0-9_-]{16}/", here)
    (cookie,) = first.cookies.values()
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/s/", True, "Lax")
    assert token not in cookie.value
    for tail in (*PAGES, *DOWNLOADS):
        answer = client.get(here + tail)
        assert answer.status_code == 200, tail
        assert token.encode() not in answer.content
        assert answer["Cache-Control"] == "no-store"
    assert only_link().openings == 1


@pytest.mark.parametrize("tail", ["cost/", "steps/2/?x=1", "result/?as=text"])
def test_the_exchange_leads_to_the_page_that_was_asked_for(member: User, tail: str) -> None:
    token = share(full_run(), member)
    answer = browser().get(f"/s/{token}/{tail}")
    assert answer["Location"].endswith(f"/{tail}")
    assert answer["Location"].startswith("/s/-/")


def test_a_link_clicked_again_in_the_same_browser_is_no_second_view(member: User) -> None:
    token = share(full_run(), member)
    client = browser()
    for _ in range(3):
        assert client.get(f"/s/{token}/", follow=True).status_code == 200
    browser().get(f"/s/{token}/")
    assert only_link().openings == 2


def test_the_public_address_opens_nothing_without_the_cookie_of_its_own_link(
    member: User,
) -> None:
    mine, other = share(full_run(), member), share(full_run(), member)
    client = browser()
    client.get(f"/s/{mine}/")
    foreign = f"/s/-/{link_of(other).public_id}/"
    for tail in (*PAGES, *DOWNLOADS, "live/"):
        for stranger in (client, browser(), Client()):
            answer = stranger.get(foreign + tail)
            assert (answer.status_code, answer.content) == (404, gone())
    # Not even with the cookie's value under the other's name.
    (morsel,) = client.cookies.values()
    client.cookies[f"share-{link_of(other).public_id}"] = morsel.value
    assert client.get(foreign).status_code == 404


def test_a_forged_or_altered_cookie_opens_nothing(member: User) -> None:
    token = share(full_run(), member)
    client = browser()
    here = client.get(f"/s/{token}/")["Location"]
    (name,) = client.cookies
    good = client.cookies[name].value
    for bad in ("", "x", good[:-1], good + "x", good.swapcase(), "eyJsaW5rIjoxfQ:1:x"):
        client.cookies[name] = bad
        assert client.get(here).status_code == 404
    client.cookies[name] = good
    assert client.get(here).status_code == 200


@pytest.mark.parametrize("ending", ["revoked", "expired", "disabled", "no right", "switch"])
def test_whoever_is_in_is_out_with_the_next_request(member: User, admin: User, ending: str) -> None:
    token = share(full_run(), member)
    client = browser()
    here = client.get(f"/s/{token}/")["Location"]
    link = only_link()
    match ending:
        case "revoked":
            sharing.revoke(link, member)
        case "expired":
            ShareLink.objects.update(expires_at=timezone.now())
        case "disabled":
            User.objects.filter(pk=member.pk).update(is_active=False)
        case "no right":
            member.groups.set([Group.objects.get(name="viewer")])
        case "switch":
            sharing.turn_switch(True, admin)
    for tail in (*PAGES, *DOWNLOADS, "live/"):
        for path in (here + tail, f"/s/{token}/{tail}"):
            for asking in (client, browser(), Client()):
                answer = asking.get(path)
                assert (answer.status_code, answer.content) == (404, gone()), path
                assert not answer.cookies
    assert sharing.open_links([link.pk]) == set()


def test_a_right_given_to_the_account_itself_counts_too(member: User) -> None:
    token = share(full_run(), member)
    member.groups.clear()
    assert Client().get(f"/s/{token}/").status_code == 404
    member.user_permissions.add(Permission.objects.get(codename="add_sharelink"))
    assert Client().get(f"/s/{token}/").status_code == 200


# Views -------------------------------------------------------------------------------------------


def opened(token: str, **form: str) -> Client:
    """A browser that has sent the form before the link."""
    client = browser()
    here = client.get(f"/s/{token}/")["Location"]
    client.post(here, form)
    return client


def test_a_link_opens_as_often_as_was_said_and_stays_open_there(member: User) -> None:
    token = share(full_run(), member, most_views=2)
    here = f"/s/-/{only_link().public_id}/"
    first, second = opened(token), opened(token)
    for client in (first, second, first):
        assert client.get(here).status_code == 200
    third = browser().get(f"/s/{token}/")
    assert (third.status_code, third.content) == (404, gone())
    assert not third.cookies
    assert first.get(f"/s/{token}/", follow=True).status_code == 200
    assert only_link().openings == 2


def test_looking_at_the_form_uses_up_no_view(member: User) -> None:
    token = share(full_run(prompt="CANARY"), member, most_views=1)
    for _ in range(3):
        form = browser().get(f"/s/{token}/", follow=True)
        assert form.status_code == 200
        assert b"limited number of times" in form.content
        assert b"CANARY" not in form.content
    assert only_link().openings == 0
    assert not ShareView.objects.exists()


def test_a_tool_without_cookies_gets_no_further_than_the_form(member: User) -> None:
    for chosen in ({"most_views": 1}, {"passphrase": "open sesame"}):
        token = share(full_run(prompt="CANARY"), member, **chosen)
        for tail in (*PAGES, *DOWNLOADS, "live/"):
            answer = Client().get(f"/s/{token}/{tail}")
            assert answer.status_code in (302, 404)
            assert b"CANARY" not in answer.content


def test_a_lower_maximum_ends_the_views_beyond_it(member: User, member_client: Client) -> None:
    token = share(full_run(), member, most_views=3)
    link = only_link()
    here = f"/s/-/{link.public_id}/"
    clients = [opened(token) for _ in range(3)]
    member_client.post(f"/share-links/{link.pk}/", {"most_views": "1"})
    assert [client.get(here).status_code for client in clients] == [200, 404, 404]
    assert [sharing.admits(view, 1) for view in (1, 2, None)] == [True, False, False]
    member_client.post(f"/share-links/{link.pk}/", {"most_views": ""})
    assert [client.get(here).status_code for client in clients] == [200, 200, 200]


@pytest.mark.django_db(transaction=True)
def test_openings_that_race_never_pass_the_maximum() -> None:
    member = account("mira", "member")
    link, _ = sharing.create(full_run(), member, "x", 7, most_views=7)

    def take(_: int) -> int | None:
        try:
            return sharing.count_view(link)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(take, range(60)))
    assert sorted(number for number in got if number) == [1, 2, 3, 4, 5, 6, 7]
    assert got.count(None) == 53
    link.refresh_from_db()
    assert link.openings == 7


def test_the_view_log_tells_when_from_where_and_with_what(
    member: User, member_client: Client, settings: Any
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    token = share(full_run(), member)
    client = Client(headers=BROWSER | {"X-Forwarded-For": "10.9.9.9, 203.0.113.77"})
    client.get(f"/s/{token}/", follow=True)
    six = Client(headers={"X-Forwarded-For": "2001:db8:1:2::3", "User-Agent": "curl/8\r\nx" * 99})
    six.get(f"/s/{token}/cost/")
    views = list(ShareView.objects.order_by("id"))
    assert [view.page for view in views] == ["link", "timeline", "cost"]
    assert [view.is_opening for view in views] == [True, False, True]
    assert [view.address for view in views] == [
        *["203.0.113.0/24"] * 2,
        "2001:db8:1::/48",
    ]
    assert len(views[2].agent) <= 200
    page = member_client.get(f"/share-links/{only_link().pk}/").text
    for words in ("203.0.113.0/24", "2001:db8:1::/48", "Firefox/140.0", "let in"):
        assert words in page
    assert "203.0.113.77" not in page
    assert token not in page


def test_an_address_that_a_client_makes_up_is_not_believed(member: User) -> None:
    token = share(full_run(), member)
    Client(headers={"X-Forwarded-For": "203.0.113.77"}).get(f"/s/{token}/")
    assert ShareView.objects.get().address == "127.0.0.0/24"


@pytest.mark.parametrize(
    "agent",
    [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0 A",
        "facebookexternalhit/1.1",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        "Mozilla/5.0 (compatible; Microsoft Teams)",
        "Mozilla/5.0 (compatible; bingbot/2.0)",
        "Twitterbot/1.0",
        "Some-Crawler/3",
        "my spider",
    ],
)
def test_a_robot_gets_the_neutral_page_and_is_no_view(
    member: User, member_client: Client, agent: str
) -> None:
    token = share(full_run(prompt="CANARY"), member, most_views=1)
    robot = Client(headers=BROWSER | {"User-Agent": agent})
    public = f"/s/-/{only_link().public_id}/"
    answers = {
        robot.get(path).content for path in (f"/s/{token}/", f"/s/{'A' * 43}/", public, "/s/-/x/")
    }
    assert len(answers) == 1
    (text,) = answers
    assert b"Open this in a browser" in text
    assert b"CANARY" not in text
    assert b"og:" not in text
    assert only_link().openings == 0
    assert ShareView.objects.filter(is_robot=True).count() == 1
    assert (
        "a program looked at the link" in member_client.get(f"/share-links/{only_link().pk}/").text
    )
    assert "just now" not in member_client.get("/share-links/?state=odd").text.split("Last view")[2]


# Passphrase --------------------------------------------------------------------------------------


def test_a_passphrase_is_asked_once_a_browser_and_stored_only_hashed(member: User) -> None:
    token = share(full_run(prompt="CANARY"), member, passphrase="open sesame")
    link = only_link()
    assert "sesame" not in link.passphrase
    client = browser()
    here = client.get(f"/s/{token}/")["Location"]
    asked = client.get(here)
    assert 'type="password"' in asked.text
    for tail in PAGES:
        assert "CANARY" not in client.get(here + tail).text
    wrong = client.post(here, {"passphrase": "open says me"})
    assert wrong.status_code == 403
    assert "That is not the passphrase" in wrong.text
    right = client.post(here, {"passphrase": "open sesame"}, follow=True)
    assert right.redirect_chain == [(here, 302)]
    assert "CANARY" in right.text
    assert "CANARY" in client.get(f"/s/{token}/", follow=True).text
    assert "CANARY" not in browser().get(f"/s/{token}/", follow=True).text


def test_the_form_is_worth_nothing_without_the_ticket(member: User) -> None:
    share(full_run(), member, passphrase="open sesame")
    here = f"/s/-/{only_link().public_id}/"
    answer = browser().post(here, {"passphrase": "open sesame"})
    assert (answer.status_code, answer.content) == (404, gone())
    assert only_link().wrong_passphrases == 0


def test_wrong_passphrases_make_everybody_wait_longer_and_longer(member: User) -> None:
    token = share(full_run(), member, passphrase="open sesame")
    client = browser()
    here = client.get(f"/s/{token}/")["Location"]
    codes = [client.post(here, {"passphrase": f"guess {n}"}).status_code for n in range(9)]
    assert codes == [403] * sharing.FREE_TRIES + [429] * 4
    assert client.post(here, {"passphrase": "open sesame"}).status_code == 429
    waits = []
    for _ in range(7):
        ShareLink.objects.update(next_passphrase_at=timezone.now() - dt.timedelta(seconds=1))
        client.post(here, {"passphrase": "again wrong"})
        waits.append((only_link().next_passphrase_at or timezone.now()) - timezone.now())
    assert [round(wait.total_seconds()) for wait in waits] == [60, 120, 240, 480, 900, 900, 900]
    ShareLink.objects.update(next_passphrase_at=None)
    assert client.post(here, {"passphrase": "open sesame"}).status_code == 302
    assert only_link().wrong_passphrases == 0


@pytest.mark.django_db(transaction=True)
def test_many_passphrases_at_once_are_no_more_tries() -> None:
    member = account("mira", "member")
    link, _ = sharing.create(full_run(), member, "x", 7, passphrase="open sesame")

    def attempt(number: int) -> bool | None:
        try:
            return sharing.accepts(ShareLink.objects.get(pk=link.pk), f"guess {number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(attempt, range(60)))
    assert got.count(False) <= sharing.FREE_TRIES
    assert True not in got


# What is shown -----------------------------------------------------------------------------------

SECRETS = {
    Part.SUMMARY: ("SUMMARY-CANARY", "ISSUE-CANARY"),
    Part.REQUEST: ("PROMPT-CANARY", "GUIDANCE-CANARY"),
    Part.OUTPUT: ("OUTPUT-CANARY",),
    Part.TIMELINE: ("SAID-CANARY",),
    Part.THINKING: ("THOUGHT-CANARY",),
    Part.TOOLS: ("GIVEN-CANARY", "FOUND-CANARY"),
    Part.COST: ("SERVICE-CANARY", "0.004242"),
    Part.LOGS: ("LOG-CANARY",),
    Part.IDS: ("AGENT-CANARY", "OBJECT-CANARY", "META-CANARY"),
}
NEEDED = {Part.THINKING: Part.TIMELINE, Part.TOOLS: Part.TIMELINE}


def marked_run(status: str = "completed") -> Run:
    from tests.factories import make_entries, make_steps

    run = full_run(
        status,
        prompt="PROMPT-CANARY",
        guidance="GUIDANCE-CANARY",
        output="OUTPUT-CANARY",
        summary="SUMMARY-CANARY",
        issues=["ISSUE-CANARY"],
        logs=[["LOG-CANARY", "LOG-CANARY"]],
        agent_id="AGENT-CANARY",
        created_object_ids=["OBJECT-CANARY"],
        summary_cost_micros=4_242,
        failure_cause="LOG-CANARY",
    )
    run.steps.all().delete()
    make_steps(run, 1, type="thinking", content="THOUGHT-CANARY")
    make_steps(run, 1, type="output", content="SAID-CANARY")
    make_steps(
        run,
        1,
        type="tool_call",
        tool_name="bash",
        content=None,
        tool_input='{"command": "GIVEN-CANARY"}',
        tool_output='"FOUND-CANARY"',
    )
    make_steps(
        run,
        1,
        type="tool_result",
        tool_input=None,
        tool_output='"FOUND-CANARY"',
        content="FOUND-CANARY",
    )
    run.entries.all().delete()
    make_entries(run, 1, service="SERVICE-CANARY", metadata='"META-CANARY"', cost_micros=4_242)
    return run


def everything_told(base: str, client: Client) -> bytes:
    tails = ["", "cost/", "result/", "result/?as=text", "logs/", "?at=2", "logs/1/"]
    tails += ["cost/1/metadata/", "live/?since=0", "nowhere/", "raw/"]
    tails += [f"live/?since=0&tab={tab}" for tab in ("timeline", "cost", "result", "logs")]
    tails += [f"text/{name}/" for name in ("prompt", "guidance", "output", "summary")]
    for step in range(1, 6):
        tails += [f"steps/{step}/", *(f"steps/{step}/{part}/" for part in ("input", "output"))]
        tails += [f"steps/{step}/content/"]
    told = b""
    for tail in tails:
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.get(base + tail, headers=headers)
            told += answer.content + str(dict(answer.headers)).encode()
    told += client.get(f"{base}?after=0", headers={"HX-Request": "true"}).content
    return told


@pytest.mark.parametrize("is_frozen", [False, True], ids=["live", "frozen"])
@pytest.mark.parametrize("part", [None, *Part])
def test_a_link_shows_the_parts_that_were_chosen_and_not_a_word_more(
    member: User, part: Part | None, is_frozen: bool
) -> None:
    run = marked_run("failed")
    shows = {part, NEEDED.get(part, part)} - {None} if part else set()
    token = share(run, member, shows=shows, is_frozen=is_frozen)
    told = everything_told(f"/s/{token}/", Client()).decode()
    for other, secrets in SECRETS.items():
        for secret in secrets:
            # A metadata file needs its entry, and an entry its cost.
            is_shown = other in shows and secret != "META-CANARY"
            assert (secret in told) == is_shown, (part, secret)


def test_a_link_made_without_choosing_shows_the_summary_only(
    member: User, member_client: Client
) -> None:
    run = marked_run()
    member_client.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": "7"})
    assert only_link().shows == ["summary"]


def test_a_frozen_link_shows_what_was_and_not_what_came(member: User) -> None:
    run = marked_run("running")
    token = share(run, member, is_frozen=True)
    live = share(run, member)
    run.steps.filter(type="output").update(content="LATER")
    Run.objects.update(summary="LATER", version=9, output="LATER", logs=[["LATER", "LATER"]])
    frozen = everything_told(f"/s/{token}/", Client())
    assert b"LATER" not in frozen
    assert b"SAID-CANARY" in frozen
    assert b"A copy as of" in frozen
    assert b"sse-connect" not in frozen
    assert b"LATER" in everything_told(f"/s/{live}/", Client())
    assert FrozenCopy.objects.count() == 1


# The form ----------------------------------------------------------------------------------------

CHOSEN = {"purpose": "For the court", "days": "7", "chosen": "1"}


def test_the_form_makes_the_link_that_was_chosen(member_client: Client) -> None:
    run = marked_run()
    path = f"/runs/{run.run_id}/share/"
    member_client.post(
        path,
        CHOSEN
        | {
            "recipient": "j@firm.example",
            "passphrase": "open sesame",
            "most_views": "3",
            "shows": ["timeline", "tools"],
            "words": "Hale\nAcme Corp",
            "kinds": ["email"],
            "steps": "2-3",
            "fields_named": "command",
            "step": ["7"],
            "is_frozen": "1",
        },
    )
    link = only_link()
    assert (link.recipient, link.most_views, link.is_frozen) == ("j@firm.example", 3, True)
    assert link.shows == ["timeline", "tools"]
    assert link.rules == {
        "steps": [[2, 3], [7, 7]],
        "fields": ["command"],
        "words": ["Hale", "Acme Corp"],
        "kinds": ["email"],
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"shows": ["tools"]}, "can only be shown in the timeline"),
        ({"passphrase": "short"}, "at least 8 characters"),
        ({"most_views": "0"}, "greater than or equal to 1"),
        ({"steps": "two"}, "names no steps"),
        ({"words": "a"}, "too short to be found"),
        ({"shows": ["everything"]}, "Select a valid choice"),
    ],
)
def test_a_choice_that_cannot_be_is_said_beside_its_field(
    member_client: Client, given: dict[str, Any], told: str
) -> None:
    answer = member_client.post(f"/runs/{full_run().run_id}/share/", CHOSEN | given)
    assert answer.status_code == 400
    assert told in answer.text.replace("&#x27;", "'")
    assert not ShareLink.objects.exists()


def test_the_preview_is_what_the_recipient_gets_and_makes_no_link(
    member: User, member_client: Client
) -> None:
    run = marked_run()
    chosen = {"shows": ["timeline", "tools", "summary"], "words": "GIVEN-CANARY", "steps": "2"}
    answer = member_client.post(f"/runs/{run.run_id}/share/", CHOSEN | chosen | {"preview": "0"})
    assert answer.status_code == 200
    assert not ShareLink.objects.exists()
    preview = answer.text.split('id="preview"')[1]
    for shown in ("SUMMARY-CANARY", "[redacted]", "FOUND-CANARY"):
        assert shown in preview
    for hidden in ("GIVEN-CANARY", "SAID-CANARY", "THOUGHT-CANARY", "PROMPT-CANARY", "0.004242"):
        assert hidden not in preview
    assert 'name="step" value="3" form="share-form"' in preview


# The switch --------------------------------------------------------------------------------------


def test_an_admin_closes_every_link_after_being_asked_and_opens_them_again(
    admin: User, member: User, member_client: Client
) -> None:
    admin.user_permissions.add(Permission.objects.get(codename="change_sharingswitch"))
    staff = signed_in(admin)
    token = share(full_run(), member)
    assert "Close every shared link?" in staff.get("/share-links/switch/").text
    assert Client().get(f"/s/{token}/").status_code == 200
    assert (
        "No shared link opens now"
        in staff.post("/share-links/switch/", {"closed": "yes"}, follow=True).text
    )
    assert Client().get(f"/s/{token}/").status_code == 404
    for page in ("/share-links/", f"/share-links/{only_link().pk}/"):
        assert "No shared link opens: ada closed them all" in member_client.get(page).text
    staff.post("/share-links/switch/", {"closed": "no"})
    assert Client().get(f"/s/{token}/").status_code == 200


def test_a_member_does_not_turn_the_switch(member_client: Client) -> None:
    for answer in (
        member_client.get("/share-links/switch/"),
        member_client.post("/share-links/switch/", {"closed": "yes"}),
    ):
        assert answer.status_code == 403
    assert sharing.switch() is None


def test_a_viewer_changes_no_maximum(viewer_client: Client, member: User) -> None:
    share(full_run(), member, most_views=2)
    path = f"/share-links/{only_link().pk}/"
    assert viewer_client.get(path).status_code == 200
    assert viewer_client.post(path, {"most_views": "99"}).status_code == 403
    assert only_link().most_views == 2


def test_a_flood_of_wrong_tokens_is_held_off_without_asking_the_database(
    client: Client, member: User, django_assert_num_queries: Any
) -> None:
    token = share(full_run(), member)
    for number in range(guesses.AT_MOST):
        client.get(f"/s/{'B' * 40}{number:03}/")
    with django_assert_num_queries(0):
        answer = client.get(f"/s/{'C' * 43}/")
    assert (answer.status_code, answer.content) == (404, gone())
    assert client.get(f"/s/{token}/").status_code == 404
    elsewhere = Client(REMOTE_ADDR="198.51.100.9")
    assert elsewhere.get(f"/s/{token}/").status_code == 200
