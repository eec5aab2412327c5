"""Accounts: signing in, guessing at it, passwords, sessions and their ends."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

import pytest
import redis
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client

from dashboard.live import viewers
from tests.conftest import account, signed_in
from tests.factories import make_run

pytestmark = pytest.mark.django_db

LOGIN, SESSIONS = "/accounts/login/", "/accounts/sessions/"
CHANGE = "/accounts/password/change/"
HOUR, DAY = 3600, 86400


def log_in(name: str, password: str | None = None, **headers: str) -> Client:
    client = Client(headers={name.replace("_", "-"): value for name, value in headers.items()})
    client.post(LOGIN, {"login": name, "password": password or f"{name} of the tests"})
    return client


def proven(client: Client, name: str) -> Client:
    """The same browser after its account's password was asked again."""
    client.post("/accounts/reauthenticate/", {"password": f"{name} of the tests"})
    return client


def is_in(client: Client) -> bool:
    return client.get("/runs/").status_code == 200


# Signing in --------------------------------------------------------------------------------------


def test_the_session_key_changes_at_the_login(viewer: User) -> None:
    client = Client()
    client.get("/accounts/login/passkey/", headers={"accept": "application/json"})
    before = client.session.session_key
    assert before
    client.post(LOGIN, {"login": "violet", "password": "violet of the tests"})
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


def test_a_disabled_account_does_not_come_in(viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert not is_in(log_in("violet"))


@pytest.mark.parametrize("onward", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_logging_in_leads_to_no_other_site(viewer: User, onward: str) -> None:
    form = {"login": "violet", "password": "violet of the tests", "next": onward}
    assert Client().post(LOGIN, form)["Location"] == "/"


def test_an_unknown_name_is_answered_like_a_wrong_password(client: Client, viewer: User) -> None:
    pages = [
        client.post(LOGIN, {"login": login, "password": "wrong"}).text.replace(login, "")
        for login in ("violet", "nobody")
    ]
    chance = r'nonce="[^"]+"|name="csrfmiddlewaretoken" value="[^"]+"|"X-CSRFToken": "[^"]+"'
    told = [re.sub(chance, "", page) for page in pages]
    assert "not correct" in pages[0]
    assert "not correct" in pages[1]
    assert told[0] == told[1]


def test_an_account_without_a_role_sees_nothing(viewer: User) -> None:
    viewer.groups.clear()
    client = log_in("violet")
    for path in ("/", "/runs/", "/runs/live/", "/runs/run_1/", "/share-links/"):
        answer = client.get(path)
        assert answer.status_code == 403
        assert "has no role yet" in answer.text
    assert "none" in client.get("/accounts/").text


# Guessing ----------------------------------------------------------------------------------------


def test_after_five_wrong_passwords_an_account_waits_and_others_do_not(
    viewer: User, member: User
) -> None:
    for number in range(5):
        log_in("violet", f"wrong {number}")
    page = Client().post(LOGIN, {"login": "violet", "password": "violet of the tests"})
    assert "Too many failed login attempts" in page.text
    assert is_in(log_in("mira"))


def test_one_address_tries_ten_names_a_minute(viewer: User) -> None:
    for number in range(10):
        log_in(f"name{number}", "wrong")
    assert not is_in(log_in("violet"))


def test_a_right_password_does_not_reset_the_count(viewer: User, member: User) -> None:
    for number in range(10):
        log_in(f"name{number}", "wrong")
        log_in("mira")
    assert not is_in(log_in("violet"))


def test_what_was_counted_is_in_the_database_that_all_web_processes_share(viewer: User) -> None:
    """And not in Redis, which may be away or emptied."""
    for number in range(5):
        log_in("violet", f"wrong {number}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM django_cache WHERE cache_key LIKE '%login_failed%'")
        assert cursor.fetchone()[0] == 2  # the address and the name
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.flushdb()
    assert not is_in(log_in("violet"))


def test_behind_a_proxy_each_visitor_has_a_count_of_their_own(viewer: User, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(10):
        Client(headers={"x-forwarded-for": f"9.9.9.{number}, 203.0.113.7"}).post(
            LOGIN, {"login": f"name{number}", "password": "wrong"}
        )
    form = {"login": "violet", "password": "violet of the tests"}
    same = Client(headers={"x-forwarded-for": "203.0.113.7"})
    same.post(LOGIN, form)
    other = Client(headers={"x-forwarded-for": "203.0.113.8"})
    other.post(LOGIN, form)
    assert (is_in(same), is_in(other)) == (False, True)


def test_without_a_proxy_the_header_is_not_believed(viewer: User) -> None:
    for number in range(11):
        client = Client(headers={"x-forwarded-for": f"203.0.113.{number}"})
        client.post(LOGIN, {"login": f"name{number}", "password": "wrong"})
    assert not is_in(log_in("violet"))


# Passwords ---------------------------------------------------------------------------------------


def change(client: Client, new: str, old: str = "violet of the tests") -> Any:
    return client.post(CHANGE, {"oldpassword": old, "password1": new, "password2": new})


@pytest.mark.parametrize(
    "weak",
    [
        "short one 1",
        "q1w2e3r4t5y6",  # among the 20,000 most common
        "violet@firm.example",
        "runsheet2026!",
        "LegalAdmin123",
        "Password-Password-1",
        "casedev.casedev.casedev",
    ],
)
def test_a_password_that_would_be_guessed_is_refused(viewer: User, weak: str) -> None:
    client = signed_in(viewer)
    assert change(client, weak).status_code == 200
    viewer.refresh_from_db()
    assert viewer.check_password("violet of the tests")


@pytest.mark.parametrize(
    "good",
    [
        "correct horse battery staple",
        "  blanks at both ends  ",
        "742853619046",  # digits alone: no rule about kinds of characters
        "пароль из многих слов",
        "🐘🐘🐘 elephants",
        "x" * 40 + " and long enough for any manager " + "y" * 60,
    ],
)
def test_a_good_password_of_any_composition_is_taken_as_it_is(viewer: User, good: str) -> None:
    assert change(signed_in(viewer), good).status_code == 302
    assert is_in(log_in("violet", good))
    assert not is_in(log_in("violet", f"{good} "))


def test_changing_a_password_asks_for_the_old_one(viewer: User) -> None:
    assert change(signed_in(viewer), "a wholly new one", old="wrong").status_code == 200
    viewer.refresh_from_db()
    assert viewer.check_password("violet of the tests")


def test_a_new_password_ends_all_other_sessions_and_streams(viewer: User) -> None:
    mine, other = log_in("violet"), log_in("violet")
    key = other.session.session_key
    assert key
    hash_before = viewer.get_session_auth_hash()
    assert change(mine, "a wholly new one").status_code == 302
    assert is_in(mine)
    assert not is_in(other)
    stream = viewers.Viewer(user_pk=viewer.pk, session_key=key, session_hash=hash_before)
    assert viewers.still_allowed([stream]) == set()
    assert not Session.objects.filter(session_key=key).exists()


# Sessions ----------------------------------------------------------------------------------------


def pretend(client: Client, **ago: int) -> None:
    """Move what the session remembers into the past, by seconds."""
    session = client.session
    for name, seconds in ago.items():
        session[name] = int(time.time()) - seconds
    session.save()


def seconds_left(client: Client) -> float:
    row = Session.objects.get(session_key=client.session.session_key)
    return row.expire_date.timestamp() - time.time()


def test_a_session_that_nobody_uses_ends(viewer: User) -> None:
    client = log_in("violet")
    assert abs(seconds_left(client) - 12 * HOUR) < 60
    Session.objects.update(expire_date="2020-01-01T00:00:00Z")  # what time does by itself
    assert not is_in(client)


def test_using_a_session_keeps_it_alive(viewer: User) -> None:
    client = log_in("violet")
    pretend(client, seen_at=2 * HOUR)
    session = client.session
    session.set_expiry(10 * HOUR)
    session.save()
    assert is_in(client)
    assert abs(seconds_left(client) - 12 * HOUR) < 60
    assert client.cookies["runsheet-session"]["max-age"] == 12 * HOUR


@contextmanager
def no_room_in(table: str, *verbs: str) -> Iterator[None]:
    def full(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith(verbs or ("INSERT", "UPDATE")) and table in sql:
            raise OperationalError("database or disk is full")
        return execute(sql, *rest)

    with connection.execute_wrapper(full):
        yield


@pytest.mark.parametrize("table", ["django_session", "usersessions_usersession"])
def test_a_look_that_cannot_be_noted_is_shown_and_noted_later(viewer: User, table: str) -> None:
    client = log_in("violet")
    pretend(client, seen_at=2 * HOUR)
    client.cookies["runsheet-session"]["max-age"] = ""

    with no_room_in(table):
        assert is_in(client)
    assert client.cookies["runsheet-session"]["max-age"] == ""
    assert client.session["seen_at"] < time.time() - HOUR
    assert is_in(client)
    assert client.session["seen_at"] > time.time() - 60
    assert client.cookies["runsheet-session"]["max-age"] == 12 * HOUR


def test_a_form_whose_session_cannot_be_written_says_that_the_database_cannot_be_used(
    member: User, settings: Any
) -> None:
    """What it keeps there is written with the answer, as where to go on after a second factor."""
    settings.REQUIRE_MFA = True
    client = log_in("mira")
    client.raise_request_exception = False
    share = f"/runs/{make_run().run_id}/share/"
    with no_room_in("django_session"):
        answer = client.post(share)
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "The database cannot be used now" in answer.text
    assert client.post(share).status_code == 302


def test_a_sign_in_whose_session_cannot_be_written_says_that_the_database_cannot_be_used(
    viewer: User,
) -> None:
    client = Client(raise_request_exception=False)
    form = {"login": "violet", "password": "violet of the tests"}
    with no_room_in("django_session", "UPDATE"):
        answer = client.post(LOGIN, form)
    assert answer.status_code == 503
    assert "The database cannot be used now" in answer.text
    assert client.post(LOGIN, form).status_code == 302
    assert is_in(client)


def test_a_form_whose_session_was_ended_meanwhile_is_not_taken_for_a_fault_of_ours(
    member: User, settings: Any
) -> None:
    settings.REQUIRE_MFA = True
    client = log_in("mira")
    share = f"/runs/{make_run().run_id}/share/"

    def ended(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and "django_session" in sql:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM django_session")
        return execute(sql, *rest)

    with connection.execute_wrapper(ended):
        assert client.post(share).status_code == 400


def test_a_page_that_is_only_left_open_keeps_no_session_alive(viewer: User) -> None:
    client = log_in("violet")
    pretend(client, seen_at=2 * HOUR)
    for path in ("/runs/live/", "/runs/run_1/live/"):
        client.get(path)
        assert client.session["seen_at"] < time.time() - HOUR


def test_no_session_lives_longer_than_its_last_day_however_busy(viewer: User) -> None:
    client = log_in("violet")
    pretend(client, signed_in_at=7 * DAY - HOUR, seen_at=HOUR)
    assert is_in(client)
    assert seconds_left(client) <= HOUR + 1  # streams end with it too
    pretend(client, signed_in_at=7 * DAY)
    answer = client.get("/runs/?q=nda")
    assert answer["Location"] == "/accounts/login/?next=/runs/%3Fq%3Dnda"
    assert "You were signed out" in client.get(answer["Location"]).text
    assert "_auth_user_id" not in client.session


def test_a_look_writes_the_session_only_now_and_then(viewer: User) -> None:
    client = log_in("violet")
    is_in(client)
    before = Session.objects.get().session_data
    is_in(client)
    assert Session.objects.get().session_data == before


def test_sessions_are_listed_with_where_they_are(viewer: User) -> None:
    log_in("violet", user_agent="Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/143.0")
    client = log_in("violet", user_agent="Mozilla/5.0 (Macintosh) Version/26.0 Safari/605.1.15")
    page = client.get(SESSIONS).text
    assert "Firefox on Windows" in page
    assert "Safari on Mac" in page
    assert page.count("127.0.0.1") == 2
    assert page.count(">this one</span>") == 1


def test_what_a_browser_calls_itself_stays_text(viewer: User) -> None:
    client = log_in("violet", user_agent="<script>alert(1)</script>")
    page = client.get(SESSIONS).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_one_session_is_ended_and_the_others_live_on(viewer: User) -> None:
    mine, lost, third = (log_in("violet") for _ in range(3))
    row = UserSession.objects.get(session_key=lost.session.session_key)
    assert proven(mine, "violet").post(f"{SESSIONS}{row.pk}/end/")["Location"] == SESSIONS
    assert [is_in(client) for client in (mine, lost, third)] == [True, False, True]


def test_all_others_are_ended_at_once(viewer: User, member: User) -> None:
    mine, *others = (log_in("violet") for _ in range(3))
    stranger = log_in("mira")
    proven(mine, "violet").post(f"{SESSIONS}others/end/")
    assert is_in(mine)
    assert not any(is_in(client) for client in others)
    assert is_in(stranger)


def test_ending_a_session_asks_first_who_one_is(viewer: User) -> None:
    other = log_in("violet")
    row = UserSession.objects.get(user=viewer)
    mine = signed_in(viewer)  # without a proof of who it is
    for path in (f"{SESSIONS}{row.pk}/end/", f"{SESSIONS}others/end/"):
        assert mine.post(path)["Location"].startswith("/accounts/reauthenticate/")
    assert is_in(other)
    proven(mine, "violet").post(f"{SESSIONS}{row.pk}/end/")
    assert not is_in(other)


def test_nobody_ends_or_sees_a_session_of_somebody_else(viewer: User, member: User) -> None:
    victim = log_in("mira", user_agent="Lynx of Mira")
    row = UserSession.objects.get(user=member)
    client = proven(log_in("violet"), "violet")
    assert client.post(f"{SESSIONS}{row.pk}/end/").status_code == 404
    assert is_in(victim)
    assert "Lynx" not in client.get(SESSIONS).text


def test_logging_out_ends_the_session_itself(viewer: User) -> None:
    client = log_in("violet")
    key = client.session.session_key
    copy = Client()
    copy.cookies = SimpleCookie(client.cookies)
    client.post("/accounts/logout/")
    assert not is_in(copy)
    assert not Session.objects.filter(session_key=key).exists()


@pytest.mark.parametrize("change_of", ["disabled", "without a role", "session ended"])
def test_an_open_stream_ends_with_its_right(viewer: User, change_of: str) -> None:
    client = log_in("violet")
    stream = viewers.Viewer(
        user_pk=viewer.pk,
        session_key=client.session.session_key or "",
        session_hash=viewer.get_session_auth_hash(),
    )
    assert viewers.still_allowed([stream]) == {stream}
    if change_of == "disabled":
        User.objects.filter(pk=viewer.pk).update(is_active=False)
    elif change_of == "without a role":
        viewer.groups.clear()
    else:
        Session.objects.all().delete()
    assert viewers.still_allowed([stream]) == set()


# The pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_the_account_page_tells_name_role_and_factor(role: str, settings: Any) -> None:
    settings.REQUIRE_MFA = False
    page = signed_in(account("vera", role)).get("/accounts/").text
    assert "vera@firm.example" in page
    assert f"<dd>{role}</dd>" in page
    settings.REQUIRE_MFA = True
    page = signed_in(User.objects.get(username="vera")).get("/accounts/").text
    assert ("asked of your role" in page) is (role != "viewer")


def test_the_menu_leads_to_the_account(viewer_client: Client) -> None:
    assert '<a href="/accounts/">Account</a>' in viewer_client.get("/runs/").text
