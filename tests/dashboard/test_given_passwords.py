"""A password that somebody else chose opens an account once: to choose another."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from dashboard import preparation
from dashboard.accounts.given import GivenPassword
from tests.conftest import account, signed_in
from tests.dashboard.test_mfa import log_in, set_up_app
from tests.dashboard.totp import code_of

pytestmark = pytest.mark.django_db

CHANGE = "/accounts/password/change/"
GIVEN, OWN = "chosen by ada 47", "chosen by herself 47"


@pytest.fixture
def nora(admin: User) -> User:
    """An account whose password an admin has set on the account's page."""
    user = account("nora", "viewer")
    answer = signed_in(admin).post(
        f"/admin/auth/user/{user.pk}/password/",
        {"password1": GIVEN, "password2": GIVEN, "usable_password": "true"},
    )
    assert answer.status_code == 302
    return User.objects.get(pk=user.pk)


def sign_in(password: str) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": "nora", "password": password})
    return client


def change(client: Client, old: str, new: str) -> Any:
    return client.post(CHANGE, {"oldpassword": old, "password1": new, "password2": new})


def test_whoever_signs_in_with_it_gets_no_further_than_its_change(nora: User) -> None:
    client = sign_in(GIVEN)
    for path in ("/", "/runs/", "/accounts/", "/accounts/2fa/", "/share-links/", "/runs/live/"):
        assert client.get(path)["Location"] == CHANGE, path
    assert "was given to you" in client.get(CHANGE).text


def test_it_cannot_be_kept(nora: User) -> None:
    client = sign_in(GIVEN)
    assert "the password that you have now" in change(client, GIVEN, GIVEN).text
    assert client.get("/runs/")["Location"] == CHANGE


def test_a_password_of_one_s_own_opens_the_site(nora: User) -> None:
    client = sign_in(GIVEN)
    change(client, GIVEN, OWN)
    assert client.get("/runs/").status_code == 200
    assert not GivenPassword.objects.exists()
    assert sign_in(OWN).get("/runs/").status_code == 200
    assert sign_in(GIVEN).get("/runs/").status_code == 302


def test_an_account_that_an_admin_makes_has_one(admin: User) -> None:
    form = {"username": "nora", "password1": GIVEN, "password2": GIVEN, "usable_password": "true"}
    signed_in(admin).post("/admin/auth/user/add/", form)
    assert sign_in(GIVEN).get("/runs/")["Location"] == CHANGE


def test_leaving_is_still_possible(nora: User) -> None:
    client = sign_in(GIVEN)
    assert client.post("/accounts/logout/").status_code == 302
    assert "login" in client.get("/runs/")["Location"]


def test_a_second_factor_does_not_stand_in_for_the_change(admin: User) -> None:
    nora = account("nora", "viewer")
    _, secret, _ = set_up_app("nora")
    form = {"password1": GIVEN, "password2": GIVEN, "usable_password": "true"}
    signed_in(admin).post(f"/admin/auth/user/{nora.pk}/password/", form)
    client = sign_in(GIVEN)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert client.get("/runs/")["Location"] == CHANGE


def test_an_own_password_is_no_given_one(viewer: User) -> None:
    client, _ = log_in("violet")
    new = {"password1": OWN, "password2": OWN, "oldpassword": "violet of the tests"}
    client.post(CHANGE, new)
    assert client.get("/runs/").status_code == 200
    assert not GivenPassword.objects.exists()


def test_hashing_a_password_anew_at_a_sign_in_gives_nobody_one(viewer: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    client, _ = log_in("violet")
    assert client.get("/runs/").status_code == 200
    assert not GivenPassword.objects.exists()


def test_the_command_gives_one_too(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt="": GIVEN)
    call_command("changepassword", "violet", verbosity=0)
    client = Client()
    client.post("/accounts/login/", {"login": "violet", "password": GIVEN})
    assert client.get("/runs/")["Location"] == CHANGE


@pytest.mark.parametrize("is_embedded", [True, False])
def test_the_first_password_of_an_installation_is_changed_but_of_a_demo(
    db: None, settings: Any, is_embedded: bool
) -> None:
    settings.EMBEDDED = is_embedded
    assert "shown only this once" in preparation.first_account()
    assert GivenPassword.objects.exists() is not is_embedded
