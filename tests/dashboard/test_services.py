"""Signing in through OpenID Connect: who comes in, as whom, and which lies of an issuer fail."""

import html
import re
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.conftest import account, signed_in
from tests.dashboard.issuer import Issuer

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]

LEAVE, BACK = "/accounts/services/oidc/login/", "/accounts/services/oidc/callback/"
NORA: dict[str, Any] = {
    "sub": "248289761001",
    "email": "nora@firm.example",
    "email_verified": True,
    "preferred_username": "nora",
    "name": "Nora Field",
}


@pytest.fixture
def issuer(settings: Any) -> Iterator[Issuer]:
    account("somebody", "viewer")  # makes the roles
    with Issuer() as running:
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [running.app()]}}
        yield running


def leave(client: Client, query: str = "") -> str:
    """Where the site sends the browser."""
    page = client.post(f"{LEAVE}{query}")
    assert page.status_code == 200, page.content
    found = re.search(r'content="0; url=([^"]+)"', page.text)
    assert found
    return html.unescape(found[1])


def come_back(client: Client, issuer: Issuer, query: str = "", **claims: Any) -> Any:
    return client.get(f"{BACK}?{issuer.asked_by(leave(client, query), **{**NORA, **claims})}")


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# Who comes in ------------------------------------------------------------------------------------


def test_somebody_new_gets_an_account_with_the_role_that_is_set(
    client: Client, issuer: Issuer, settings: Any
) -> None:
    settings.OIDC_DEFAULT_ROLE = "viewer"
    assert "Log in with Firm SSO" in client.get("/accounts/login/").text
    assert come_back(client, issuer)["Location"] == "/"
    nora = User.objects.get(username="nora")
    assert (nora.email, nora.first_name, nora.has_usable_password()) == (
        *("nora@firm.example", "Nora"),
        False,
    )
    assert [group.name for group in nora.groups.all()] == ["viewer"]
    assert client.get("/runs/").status_code == 200


def test_without_a_role_set_somebody_new_sees_nothing(client: Client, issuer: Issuer) -> None:
    come_back(client, issuer)
    for path in ("/", "/runs/", "/share-links/", "/admin/"):
        answer = client.get(path)
        assert answer.status_code == 403
        assert "has no role yet" in answer.text
    assert client.get("/accounts/").status_code == 200


def test_who_comes_again_is_the_same_account_whatever_else_has_changed(
    client: Client, issuer: Issuer
) -> None:
    come_back(client, issuer)
    come_back(Client(), issuer, email="nora@other.example", preferred_username="root")
    assert User.objects.filter(username="nora").count() == 1
    assert not User.objects.filter(username="root").exists()


def test_the_same_subject_of_another_issuer_is_somebody_else(
    client: Client, issuer: Issuer, settings: Any
) -> None:
    come_back(client, issuer)
    with Issuer() as other:
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [other.app()]}}
        come_back(Client(), other, email="other@firm.example", preferred_username="other")
    assert SocialAccount.objects.values("user").distinct().count() == 2


def test_a_disabled_account_is_not_let_in(client: Client, issuer: Issuer) -> None:
    come_back(client, issuer)
    User.objects.filter(username="nora").update(is_active=False)
    again = Client()
    assert come_back(again, issuer)["Location"] == "/accounts/inactive/"
    assert not is_signed_in(again)


def test_a_second_factor_is_asked_here_too(client: Client, issuer: Issuer) -> None:
    from allauth.mfa.totp.internal.auth import TOTP

    come_back(client, issuer)
    TOTP.activate(User.objects.get(username="nora"), "A" * 32)
    again = Client()
    assert come_back(again, issuer)["Location"] == "/accounts/2fa/authenticate/"
    assert not is_signed_in(again)


# Nobody else's account ---------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["mira@firm.example", "MIRA@Firm.Example"])
def test_an_address_that_has_an_account_signs_nobody_in(
    client: Client, issuer: Issuer, member: User, address: str
) -> None:
    answer = come_back(client, issuer, email=address)
    assert answer.status_code == 403
    assert "already" in answer.text
    assert not is_signed_in(client)
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("verified", [False, None, "true", "false", 1])
def test_an_address_that_is_not_verified_is_not_taken_down(
    client: Client, issuer: Issuer, member: User, verified: Any
) -> None:
    come_back(client, issuer, email="mira@firm.example", email_verified=verified)
    assert User.objects.get(username="nora").email == ""
    assert client.session["_auth_user_id"] != str(member.pk)


def test_somebody_elses_user_name_is_not_taken_over(
    client: Client, issuer: Issuer, member: User
) -> None:
    come_back(client, issuer, preferred_username="mira")
    assert client.session["_auth_user_id"] != str(member.pk)
    assert User.objects.filter(username="mira").get() == member


def test_one_connects_a_service_oneself_after_proving_who_one_is(
    issuer: Issuer, member: User
) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": "mira", "password": "mira of the tests"})
    answer = come_back(client, issuer, query="?process=connect")
    assert answer["Location"] == "/accounts/reauthenticate/"
    assert not SocialAccount.objects.exists()
    client.post("/accounts/reauthenticate/", {"password": "mira of the tests"})
    assert SocialAccount.objects.get().user == member
    assert "nora@firm.example" in client.get("/accounts/services/").text
    other = Client()
    come_back(other, issuer)
    assert other.session["_auth_user_id"] == str(member.pk)


def test_the_only_way_in_cannot_be_disconnected(client: Client, issuer: Issuer) -> None:
    come_back(client, issuer)
    client.post("/accounts/services/", {"account": SocialAccount.objects.get().pk})
    assert SocialAccount.objects.exists()


def test_who_comes_through_a_service_gets_no_password_here(client: Client, issuer: Issuer) -> None:
    come_back(client, issuer)
    new = {"password1": "a wholly new one", "password2": "a wholly new one"}
    assert "have no password here" in client.post("/accounts/password/change/", new).text
    assert not User.objects.get(username="nora").has_usable_password()


# Domains -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "claims", "comes_in"),
    [
        ("other", {}, True),
        ("other", {"email": "nora@FIRM.example"}, True),
        ("other", {"email_verified": False}, False),
        ("other", {"email": "nora@other.example"}, False),
        ("other", {"email": "nora@sub.firm.example"}, False),
        ("other", {"email": "nora@firm.example@other.example"}, False),
        ("google", {}, False),  # anybody's account with a firm's address
        ("google", {"hd": "firm.example"}, True),
        ("google", {"hd": "other.example"}, False),
        ("microsoft", {"email_verified": None}, True),  # the tenant has decided
    ],
)
def test_only_the_domains_that_are_set_come_in(
    client: Client,
    issuer: Issuer,
    settings: Any,
    kind: str,
    claims: dict[str, Any],
    comes_in: bool,
) -> None:
    settings.OIDC_DOMAINS = ["firm.example"]
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [issuer.app(kind)]}}
    answer = come_back(client, issuer, **claims)
    assert is_signed_in(client) is comes_in
    assert answer.status_code == (302 if comes_in else 403)
    assert User.objects.filter(username="nora").exists() is comes_in


# Lies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of another browser"},
        {"nonce": None},
        {"iss": "https://accounts.google.com"},
        {"aud": "another client"},
        {"aud": ["x", "y"]},
        {"exp": 1_700_000_000},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_this_request_signs_nobody_in(
    client: Client, issuer: Issuer, claims: dict[str, Any]
) -> None:
    answer = come_back(client, issuer, **claims)
    assert answer.status_code == 401
    assert "That did not work" in answer.text
    assert not is_signed_in(client)
    assert not SocialAccount.objects.exists()


def test_a_signature_by_another_key_signs_nobody_in(client: Client, issuer: Issuer) -> None:
    issuer.signed_by = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert come_back(client, issuer).status_code == 401
    assert not is_signed_in(client)


@pytest.mark.parametrize(("algorithm", "key"), [("none", None), ("HS256", "the public key" * 4)])
def test_a_signature_that_proves_nothing_signs_nobody_in(
    client: Client, issuer: Issuer, algorithm: str, key: Any
) -> None:
    issuer.algorithm, issuer.signed_by = algorithm, key
    assert come_back(client, issuer).status_code == 401
    assert not is_signed_in(client)


def test_metadata_of_another_issuer_are_refused(client: Client, issuer: Issuer) -> None:
    issuer.metadata = {"issuer": "https://accounts.google.com"}
    answer = client.post(LEAVE)
    assert answer.status_code == 401
    assert "That did not work" in answer.text


def test_a_state_that_is_not_this_browsers_signs_nobody_in(client: Client, issuer: Issuer) -> None:
    query = issuer.asked_by(leave(Client()), **NORA)
    leave(client)
    assert client.get(f"{BACK}?{query}").status_code == 401
    assert not is_signed_in(client)


def test_a_callback_works_once(client: Client, issuer: Issuer) -> None:
    query = issuer.asked_by(leave(client), **NORA)
    assert client.get(f"{BACK}?{query}").status_code == 302
    client.logout()
    assert client.get(f"{BACK}?{query}").status_code == 401
    assert not is_signed_in(client)


def test_an_issuer_that_is_away_is_said_so(client: Client, issuer: Issuer, settings: Any) -> None:
    app = issuer.app()
    app["settings"]["server_url"] = "http://127.0.0.1:1"
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    assert client.post(LEAVE).status_code == 401
    assert client.get(f"{BACK}?code=x&state=y").status_code == 401


def test_turning_back_at_the_issuer_leads_to_the_login(client: Client, issuer: Issuer) -> None:
    query = issuer.asked_by(leave(client)).replace("code=a+code", "error=access_denied")
    answer = client.get(f"{BACK}?{query}", follow=True)
    assert "You did not log in" in answer.text


def test_leaving_is_by_a_form_and_to_that_issuer_alone(client: Client, issuer: Issuer) -> None:
    assert client.get(LEAVE).status_code == 405
    assert Client(enforce_csrf_checks=True).post(LEAVE).status_code == 403
    assert client.post("/accounts/services/other/login/").status_code == 404
    address = leave(client, "?scope=admin&auth_params=prompt%3Dnone%26nonce%3Dx")
    assert address.startswith(f"{issuer.url}/authorize?")
    assert "admin" not in address
    assert "prompt" not in address


def test_of_what_the_issuer_tells_little_is_kept(client: Client, issuer: Issuer) -> None:
    come_back(client, issuer, groups=["secret project"], phone_number="+1 555 0100")
    kept = SocialAccount.objects.get().extra_data
    assert "secret project" not in str(kept)
    assert "555 0100" not in str(kept)


def test_the_session_key_changes_on_the_way_in(client: Client, issuer: Issuer) -> None:
    query = issuer.asked_by(leave(client), **NORA)
    before = client.session.session_key
    client.get(f"{BACK}?{query}")
    assert client.session.session_key != before


def test_an_admin_of_a_service_is_made_by_hand(client: Client, issuer: Issuer) -> None:
    come_back(client, issuer)
    nora = User.objects.get(username="nora")
    nora.groups.add(Group.objects.get(name="admin"))
    assert signed_in(nora).get("/admin/").status_code == 200


def test_the_tests_issuer_signs_what_can_be_read() -> None:
    """Else the lies above would fail for another reason."""
    with Issuer() as issuer:
        signed = jwt.encode({"a": 1}, issuer.signed_by, "RS256", headers={"kid": "one"})
        key = jwt.PyJWK(issuer.keys()["keys"][0])
        assert jwt.decode(signed, key, ["RS256"]) == {"a": 1}
