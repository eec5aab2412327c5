"""How a browser comes in by a link, what is asked of it, and when it is out again."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import guesses, sharing
from dashboard.models import ShareLink, ShareView
from tests.conftest import account
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
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/", True, "Lax")
    assert token not in cookie.value
    for tail in (*PAGES, *DOWNLOADS):
        answer = client.get(here + tail)
        assert answer.status_code == 200, tail
        assert token.encode() not in answer.content
        assert answer["Cache-Control"] == "no-store"
    assert only_link().openings == 1


@pytest.mark.parametrize("passphrase", ["", "open the door"])
def test_over_tls_no_other_name_of_the_domain_can_set_the_cookies(
    member: User, settings: Any, passphrase: str
) -> None:
    """A browser takes `__Host-` only with Secure, for the path /, and without a domain."""
    settings.SERVED_OVER_TLS = True
    token = share(full_run(), member, passphrase=passphrase)
    client = browser()
    answer = client.get(f"/s/{token}/", secure=True)
    here, cookies = answer["Location"], [*answer.cookies.values()]
    if passphrase:
        answer = client.post(here, {"passphrase": passphrase}, secure=True)
        cookies += [*answer.cookies.values()]
    for cookie in cookies:
        assert cookie.key.startswith("__Host-")
        assert (cookie["path"], cookie["domain"], cookie["secure"]) == ("/", "", True)
    assert [cookie.key[7:10] for cookie in cookies] == (
        ["ask", "sha", "ask"] if passphrase else ["sha"]
    )
    assert not passphrase or cookies[-1]["max-age"] == 0  # the ticket is taken away
    assert client.get(here, secure=True).status_code == 200


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


def test_a_flood_of_wrong_tokens_is_held_off_without_looking_them_up(
    client: Client, member: User
) -> None:
    token = share(full_run(), member)
    for number in range(guesses.AT_MOST):
        client.get(f"/s/{'B' * 40}{number:03}/")
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"/s/{'C' * 43}/")
    assert not [query for query in queries if "sharelink" in query["sql"]]
    assert (answer.status_code, answer.content) == (404, gone())
    assert client.get(f"/s/{token}/").status_code == 404
    elsewhere = Client(REMOTE_ADDR="198.51.100.9")
    assert elsewhere.get(f"/s/{token}/").status_code == 200
