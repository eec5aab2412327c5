"""What all pages share: the bar, the banners, the policy, and logging in and out."""

import datetime as dt
import re

import pytest
from django.template import Context, Template
from django.test import Client

from runs.models import Upstream
from tests.factories import make_run

pytestmark = pytest.mark.django_db
PAGES = ("/", "/runs/", "/runs/add/", "/accounts/password/change/", "/accounts/logout/")


@pytest.mark.parametrize("address", PAGES)
def test_every_page_keeps_the_strict_policy(member_client, address):
    make_run("running")
    response = member_client.get(address)
    html, policy = response.content.decode(), response["Content-Security-Policy"]
    assert response.status_code == 200
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce
    scripts = re.findall(r"<script[^>]*>", html)
    assert scripts
    assert all(f'nonce="{nonce[1]}"' in script for script in scripts)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


@pytest.mark.parametrize("address", PAGES)
def test_every_page_has_one_heading_and_a_way_past_the_bar(member_client, address):
    make_run("running")
    html = member_client.get(address).content.decode()
    assert html.count("<h1") == 1
    assert '<a class="skip" href="#main">' in html
    assert '<main id="main"' in html
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_bar_says_where_one_is(viewer_client):
    assert re.search(
        r'href="/" aria-current="page"[^>]*>Overview', viewer_client.get("/").content.decode()
    )
    html = viewer_client.get("/runs/").content.decode()
    assert re.search(r'href="/runs/" aria-current="page"[^>]*>Runs', html)


def test_only_staff_is_led_to_the_admin(viewer_client, admin):
    assert "/admin/" not in viewer_client.get("/").content.decode()
    client = Client()
    client.force_login(admin)
    assert 'href="/admin/"' in client.get("/").content.decode()


def test_simulated_runs_are_said_to_be_so(viewer_client, settings):
    assert "simulated" not in viewer_client.get("/").content.decode()
    settings.CASEDEV_IS_SIMULATED = True
    assert "These runs are simulated" in viewer_client.get("/").content.decode()


@pytest.mark.parametrize("address", ["/", "/runs/", "/runs/add/"])
def test_a_refused_key_is_a_banner_on_every_page(member_client, address):
    Upstream.objects.create(pk=Upstream.SOLE, state="refused", last_error="401 <b>no</b>")
    html = member_client.get(address).content.decode()
    assert 'role="alert">Case.dev refuses our key' in html
    assert "<b>no</b>" not in html
    assert '<span class="fresh refused"' in html


def test_a_stranger_sees_no_freshness_and_no_alarm(client):
    Upstream.objects.create(pk=Upstream.SOLE, state="refused", last_error="401")
    html = client.get("/accounts/login/").content.decode()
    assert "refuses" not in html
    assert "site-fresh" not in html


# Accounts ------------------------------------------------------------------------------------


def test_logging_in_leads_to_where_one_wanted_to_go(client, viewer):
    login = client.get("/runs/?q=nda")["Location"]
    assert "User name or e-mail" in client.get(login).content.decode()
    response = client.post(login, {"login": "violet", "password": "violet of the tests"})
    assert response.status_code == 302
    assert client.get(response["Location"]).status_code == 200
    assert client.get("/runs/").status_code == 200


def test_logging_in_by_e_mail_works_too(client, viewer):
    secret = {"login": "violet@firm.example", "password": "violet of the tests"}
    assert client.post("/accounts/login/", secret)["Location"] == "/"


def test_a_wrong_password_is_said_beside_the_form(client, viewer):
    response = client.post("/accounts/login/", {"login": "violet", "password": "wrong"})
    html = response.content.decode()
    assert re.search(r'<p class="error" role="alert">[^<]*not correct', html)
    assert 'value="violet"' in html
    assert "wrong" not in html.replace("not correct", "")


def test_logging_out_takes_a_click_not_a_visit(viewer_client):
    assert "Log out?" in viewer_client.get("/accounts/logout/").content.decode()
    assert viewer_client.get("/runs/").status_code == 200
    assert viewer_client.post("/accounts/logout/").status_code == 302
    assert viewer_client.get("/runs/").status_code == 302


def test_nobody_signs_up(client, django_user_model):
    html = client.get("/accounts/signup/").content.decode()
    assert "Nobody signs up here" in html
    client.post("/accounts/signup/", {"username": "eve", "email": "e@x.example", "password1": "p"})
    assert not django_user_model.objects.exists()


def test_a_password_can_be_changed(viewer_client):
    html = viewer_client.get("/accounts/password/change/").content.decode()
    assert html.count('type="password"') == 3
    new = "quite another one 7"
    viewer_client.post(
        "/accounts/password/change/",
        {"oldpassword": "violet of the tests", "password1": new, "password2": new},
    )
    assert Client().login(username="violet", password=new)


def test_what_would_send_mail_asks_for_an_administrator(client, viewer_client, mailoutbox):
    html = client.get("/accounts/password/reset/").content.decode()
    assert "An administrator of this installation can set a new password" in html
    assert client.post("/accounts/password/reset/", {"email": "v@x.example"}).status_code == 405
    assert "An administrator" in viewer_client.get("/accounts/email/").content.decode()
    assert viewer_client.post("/accounts/email/", {"action_send": ""}).status_code == 405
    assert not mailoutbox


# Freshness -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        (
            "as of 10:42:07, next in 1 s",
            'as of <time datetime="2026-01-02T10:42:07Z">10:42:07</time>, next in 1 s',
        ),
        (
            "final, as of 31 Dec 23:00:00",
            'final, as of <time datetime="2025-12-31T23:00:00Z">31 Dec 23:00:00</time>',
        ),
        (
            "silent since 30 Feb 09:00:00 (<b>)",
            "silent since 30 Feb 09:00:00 (&lt;b&gt;)",
        ),
        ("at 10:42:07 it said so", "at 10:42:07 it said so"),
    ],
)
def test_moments_of_freshness_are_told_so_that_a_clock_can_be_chosen(sentence, told):
    now = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
    shown = Template("{% load choices %}{{ sentence|timed:now }}")
    assert shown.render(Context({"sentence": sentence, "now": now})) == told
