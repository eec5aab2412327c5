"""Accounts in a real browser: a passkey, an app, the door without JavaScript, and the look."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core.cache import cache
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.conftest import account
from tests.dashboard.totp import code_of

PASSWORD = "violet of the tests"


@pytest.fixture
def here(site: str) -> Iterator[str]:
    """The site by a name: no passkey belongs to a bare address."""
    cache.clear()  # counts of the tests before
    account("violet", "viewer")
    yield site.replace("127.0.0.1", "localhost")
    cache.clear()


@pytest.fixture
def keyring(page: Page) -> Any:
    """An authenticator inside the browser that says yes to everything."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser complained about: scripts that the policy stopped, errors of ours."""
    told: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            told.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: told.append(str(error)))
    return told


def log_in(page: Page, here: str) -> None:
    page.goto(f"{here}/accounts/login/")
    page.fill("[name=login]", "violet")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_out(page: Page, here: str) -> None:
    page.goto(f"{here}/accounts/logout/")
    page.locator("main").get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))


def confirm(page: Page) -> None:
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def test_a_passkey_is_added_logs_in_alone_and_serves_as_second_factor(
    page: Page, here: str, keyring: Any, complaints: list[str]
) -> None:
    log_in(page, here)
    page.goto(f"{here}/accounts/2fa/passkeys/add/")
    confirm(page)
    page.fill("[name=name]", "My telephone")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.goto(f"{here}/accounts/2fa/")
    expect(page.locator(".keyring")).to_contain_text("My telephone")

    log_out(page, here)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page).to_have_url(f"{here}/")

    log_out(page, here)
    log_in(page, here)
    expect(page).to_have_url(f"{here}/accounts/2fa/authenticate/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{here}/")
    assert complaints == []


def test_a_passkey_that_is_not_there_is_said_and_nothing_is_sent(
    page: Page, here: str, keyring: Any
) -> None:
    page.goto(f"{here}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("alert").last).to_contain_text("Nothing was confirmed")
    expect(page).to_have_url(f"{here}/accounts/login/")


def test_everything_but_passkeys_works_without_javascript(browser: Browser, here: str) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    log_in(page, here)
    expect(page).to_have_url(f"{here}/")
    page.goto(f"{here}/accounts/2fa/totp/activate/")
    confirm(page)
    secret = page.locator(".secret").inner_text()
    page.fill("[name=code]", code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    code = page.locator(".codes code").first.inner_text().replace(" ", "")
    page.goto(f"{here}/accounts/sessions/")
    page.locator("main").get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in with a passkey")).to_be_hidden()
    log_in(page, here)
    page.fill("[name=code]", code)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page).to_have_url(f"{here}/")
    page.context.close()
    assert Authenticator.objects.filter(user=User.objects.get(username="violet")).count() == 2


@pytest.mark.parametrize("width", [360, 1200])
def test_no_page_of_the_account_is_wider_than_the_screen(
    page: Page, here: str, complaints: list[str], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    log_in(page, here)
    page.goto(f"{here}/accounts/2fa/passkeys/add/")
    confirm(page)
    for path in (
        *("", "password/change/", "2fa/", "2fa/totp/activate/", "2fa/passkeys/add/"),
        *("sessions/", "services/", "email/", "reauthenticate/", "logout/"),
    ):
        page.goto(f"{here}/accounts/{path}")
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert complaints == []
