"""Second factors: setting one up, being asked for it, losing it, and who must have one."""

import re
from importlib import import_module
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from dashboard.accounts.recovery import HashedCodes
from tests.conftest import account, signed_in
from tests.dashboard.totp import code_of
from tests.factories import make_run

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]

ACTIVATE, CODES = "/accounts/2fa/totp/activate/", "/accounts/2fa/recovery-codes/"


@pytest.fixture
def demanding(settings: Any) -> Any:
    settings.REQUIRE_MFA = True
    return settings


def log_in(name: str, client: Client | None = None) -> tuple[Client, Any]:
    client = client or Client()
    form = {"login": name, "password": f"{name} of the tests"}
    return client, client.post("/accounts/login/", form)


def confirm(client: Client, name: str) -> None:
    client.post("/accounts/reauthenticate/", {"password": f"{name} of the tests"})


def set_up_app(name: str) -> tuple[Client, str, list[str]]:
    """Signs `name` in and sets an app up: the client, the secret, the recovery codes."""
    client, _ = log_in(name)
    confirm(client, name)
    found = re.search(r'<code class="secret">([A-Z2-7]{32})</code>', client.get(ACTIVATE).text)
    assert found
    page = client.post(ACTIVATE, {"code": code_of(found[1])})
    codes = codes_in(page.text)
    return client, found[1], codes


def codes_in(page: str) -> list[str]:
    return re.findall(r"<code>((?:[0-9a-z]{4} ){5}[0-9a-z]{4})</code>", page)


def is_in(client: Client) -> bool:
    return client.get("/runs/").status_code == 200


# An app ------------------------------------------------------------------------------------------


def test_an_app_is_set_up_and_then_asked_for(viewer: User) -> None:
    _, secret, codes = set_up_app("violet")
    assert len(set(codes)) == 10
    client, answer = log_in("violet")
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert not is_in(client)
    assert client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})["Location"] == "/"
    assert is_in(client)


def test_setting_up_asks_first_who_one_is(viewer: User) -> None:
    client, _ = log_in("violet")
    for path in (ACTIVATE, "/accounts/2fa/passkeys/add/"):
        answer = client.get(path)
        assert answer["Location"] == f"/accounts/reauthenticate/?next={path.replace('/', '%2F')}"
    assert "Enter" not in client.post(ACTIVATE, {"code": "123456"}).text
    assert not Authenticator.objects.exists()


def test_a_code_opens_once(viewer: User) -> None:
    _, secret, _ = set_up_app("violet")
    code = code_of(secret)
    first, _ = log_in("violet")
    first.post("/accounts/2fa/authenticate/", {"code": code})
    assert is_in(first)
    second, _ = log_in("violet")
    second.post("/accounts/2fa/authenticate/", {"code": code})
    assert not is_in(second)


@pytest.mark.parametrize("age", [-60, 60, 120])
def test_a_code_of_another_half_minute_opens_nothing(viewer: User, age: int) -> None:
    _, secret, _ = set_up_app("violet")
    client, _ = log_in("violet")
    code = code_of(secret, timezone.now().timestamp() - age)
    assert "Incorrect code" in client.post("/accounts/2fa/authenticate/", {"code": code}).text
    assert not is_in(client)


def test_guessing_codes_ends_soon(viewer: User) -> None:
    _, secret, _ = set_up_app("violet")
    client, _ = log_in("violet")
    for _ in range(6):
        page = client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert "Too many" in page.text
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert not is_in(client)  # the right one comes too late as well


def test_the_secret_stands_in_no_row_in_the_clear(viewer: User) -> None:
    _, secret, codes = set_up_app("violet")
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in kept
    assert not any(code.replace(" ", "") in kept for code in codes)


def test_a_factor_sealed_by_another_key_opens_nothing(viewer: User, settings: Any) -> None:
    _, secret, _ = set_up_app("violet")
    settings.SECRET_KEY = "another secret key of fifty characters, at least so"
    client, _ = log_in("violet")
    for code in (code_of(secret), code_of("A" * 32), ""):
        assert client.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 200
    assert not is_in(client)


@pytest.mark.parametrize("by", ["password", "code"])
def test_the_session_goes_on_under_another_key_after_a_new_proof(viewer: User, by: str) -> None:
    client, secret, _ = set_up_app("violet")
    before = client.session.session_key or ""
    page = f"/accounts/{'' if by == 'password' else '2fa/'}reauthenticate/"
    client.post(page, {"password": "wrong", "code": "000000"})
    assert client.session.session_key == before
    client.post(page, {"password": "violet of the tests", "code": code_of(secret)})
    after = client.session.session_key
    assert after != before
    assert is_in(client)
    assert not Session.objects.filter(session_key=before).exists()
    listed = UserSession.objects.filter(user=viewer).values_list("session_key", flat=True)
    assert list(listed) == [after]
    stolen = Client()
    stolen.cookies[settings.SESSION_COOKIE_NAME] = before
    assert not is_in(stolen)


def test_an_app_is_turned_off_by_who_proves_to_be_its_owner(viewer: User) -> None:
    client, _, _ = set_up_app("violet")
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()  # recovery codes go with the last factor


def test_a_session_without_new_proof_turns_nothing_off(viewer: User) -> None:
    client, secret, _ = set_up_app("violet")
    client, _ = log_in("violet")
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert "reauthenticate" in client.post("/accounts/2fa/totp/deactivate/")["Location"]
    assert Authenticator.objects.filter(type="totp").exists()


# Recovery codes ----------------------------------------------------------------------------------


def test_recovery_codes_are_shown_once(viewer: User) -> None:
    client, _, codes = set_up_app("violet")
    for path in (CODES, "/accounts/2fa/", f"{CODES}generate/", "/accounts/"):
        page = client.get(path, follow=True).text
        assert not any(code in page or code.replace(" ", "") in page for code in codes)
    assert "10 left" in client.get("/accounts/2fa/").text
    assert client.get(f"{CODES}download/").status_code == 404


def test_a_recovery_code_opens_once(viewer: User) -> None:
    _, _, codes = set_up_app("violet")
    for expected in (True, False):
        client, _ = log_in("violet")
        client.post("/accounts/2fa/authenticate/", {"code": codes[3].replace(" ", "")})
        assert is_in(client) is expected


def test_a_recovery_code_may_be_typed_as_people_type(viewer: User) -> None:
    _, _, codes = set_up_app("violet")
    ways = (str.upper, lambda code: code.replace(" ", "-"), lambda code: code.replace("0", "O"))
    for code, typed in zip(codes, ways, strict=False):
        client, _ = log_in("violet")
        client.post("/accounts/2fa/authenticate/", {"code": f" {typed(code)}"})
        assert is_in(client)


def test_a_code_that_nobody_was_given_opens_nothing(viewer: User) -> None:
    _, _, codes = set_up_app("violet")
    wrong = ("", "0" * 24, codes[0][:-1], codes[0] + "0", "\ud800" * 24, "****")
    row = HashedCodes(Authenticator.objects.get(type="recovery_codes"))
    assert [code for code in wrong if row.validate_code(code)] == []
    assert row.validate_code(codes[0])
    used_up = HashedCodes(Authenticator(type="recovery_codes", data={"salt": "", "hashes": []}))
    assert not used_up.validate_code("0" * 24)


def test_recovery_codes_are_kept_as_salted_hashes_of_enough_bits(viewer: User) -> None:
    """OWASP ASVS 5.0, 6.5.2: a plain hash will do from 112 bits on."""
    kept, shown = [], []
    for _ in range(2):
        client, _, codes = set_up_app("violet")
        row = Authenticator.objects.get(type="recovery_codes")
        assert set(row.data) == {"salt", "hashes"}  # and no seed, from which they could be made
        assert {len(code.replace(" ", "")) * 5 for code in codes} == {120}
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in row.data["hashes"])
        kept.append((row.data["salt"], *row.data["hashes"]))
        shown += codes
        confirm(client, "violet")
        client.post("/accounts/2fa/totp/deactivate/")
    assert not set(kept[0]) & set(kept[1])
    assert len(set(shown)) == 20
    assert not any(code.replace(" ", "") in str(kept) for code in shown)


def test_codes_from_before_are_gone_and_other_factors_stay(viewer: User) -> None:
    make = Authenticator.objects.create
    make(user=viewer, type="recovery_codes", data={"seed": "sealed", "used_mask": 3})
    make(user=viewer, type="totp", data={"secret": "sealed"})
    step = import_module("dashboard.migrations.0012_ask_for_new_recovery_codes")
    step.drop(apps, None)
    assert [row.type for row in Authenticator.objects.all()] == ["totp"]
    HashedCodes.activate(viewer).make()
    step.drop(apps, None)
    assert Authenticator.objects.filter(type="recovery_codes").exists()


def test_new_recovery_codes_take_the_old_ones_away(viewer: User) -> None:
    client, _, codes = set_up_app("violet")
    page = client.post(f"{CODES}generate/").text
    new = codes_in(page)
    assert len(new) == 10
    assert not set(new) & set(codes)
    other, _ = log_in("violet")
    other.post("/accounts/2fa/authenticate/", {"code": codes[0].replace(" ", "")})
    assert not is_in(other)


# Who must have one -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/runs/", "/admin/", "/admin/auth/user/", "/share-links/"])
def test_an_admin_without_a_factor_is_led_to_it_with_the_reason(
    admin: User, demanding: Any, path: str
) -> None:
    client, _ = log_in("ada")
    answer = client.get(path)
    assert answer["Location"] == "/accounts/2fa/?for=admin"
    assert "Administrators need a second factor" in client.get(answer["Location"]).text


def test_an_admin_who_sets_one_up_goes_on_where_they_wanted(admin: User, demanding: Any) -> None:
    client, _ = log_in("ada")
    client.get("/admin/auth/user/?q=x")
    confirm(client, "ada")
    found = re.search(r'class="secret">([A-Z2-7]{32})<', client.get(ACTIVATE).text)
    assert found
    page = client.post(ACTIVATE, {"code": code_of(found[1])}).text
    assert 'href="/admin/auth/user/?q=x">I have them' in page
    assert client.get("/admin/auth/user/").status_code == 200


@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_every_kind_of_administrator_needs_one(viewer: User, demanding: Any, flag: str) -> None:
    User.objects.filter(pk=viewer.pk).update(**{flag: True})
    client, _ = log_in("violet")
    assert client.get("/runs/")["Location"] == "/accounts/2fa/?for=admin"


def test_sharing_needs_one_and_seeing_does_not(member: User, demanding: Any) -> None:
    client, _ = log_in("mira")
    run = make_run()
    assert client.get(f"/runs/{run.run_id}/").status_code == 200
    for answer in (
        client.get(f"/runs/{run.run_id}/share/"),
        client.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": "7"}),
    ):
        assert answer["Location"] == "/accounts/2fa/?for=share"
    assert "To share a run you need" in client.get(answer["Location"]).text
    assert not run.share_links.exists()


def test_a_member_with_one_shares(member: User, demanding: Any) -> None:
    client, _, _ = set_up_app("mira")
    assert client.get(f"/runs/{make_run().run_id}/share/").status_code == 200


def test_a_viewer_is_told_of_the_role_and_not_of_a_factor(viewer: User, demanding: Any) -> None:
    client, _ = log_in("violet")
    answer = client.get(f"/runs/{make_run().run_id}/share/")
    assert answer.status_code == 403
    assert "role" in answer.text


def test_everyone_needs_one_where_that_is_set(viewer: User, demanding: Any) -> None:
    demanding.MFA_FOR_EVERYONE = True
    client, _ = log_in("violet")
    assert client.get("/")["Location"] == "/accounts/2fa/?for=everyone"
    assert client.get("/runs/live/")["Location"] == "/accounts/2fa/?for=everyone"
    client, _, _ = set_up_app("violet")
    assert is_in(client)


def test_a_factor_that_this_session_did_not_show_does_not_count(
    admin: User, demanding: Any
) -> None:
    set_up_app("ada")
    client = signed_in(admin)  # as a session from before the factor would be
    answer = client.get("/admin/")
    assert answer["Location"] == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2F"
    assert client.get(answer["Location"]).status_code == 200


def test_nothing_is_asked_where_it_is_off(admin: User, settings: Any) -> None:
    assert settings.REQUIRE_MFA is False
    client, _ = log_in("ada")
    assert client.get("/admin/").status_code == 200


def test_other_sessions_end_when_a_factor_is_set_up(viewer: User) -> None:
    other, _ = log_in("violet")
    client, _, _ = set_up_app("violet")
    assert is_in(client)
    assert not is_in(other)


# An administrator's help -------------------------------------------------------------------------


def act(admin: User, action: str, user: User) -> Any:
    sent = {"action": action, "_selected_action": [str(user.pk)]}
    return signed_in(admin).post("/admin/auth/user/", sent, follow=True)


def test_an_admin_takes_a_lost_factor_away_and_its_sessions(admin: User, viewer: User) -> None:
    client, _, _ = set_up_app("violet")
    assert "1 account has no factor now" in act(admin, "take_factors_away", viewer).text
    assert not Authenticator.objects.exists()
    assert not is_in(client)
    assert log_in("violet")[1]["Location"] == "/"


def test_an_admin_ends_all_sessions_of_an_account(admin: User, viewer: User) -> None:
    clients = [log_in("violet")[0] for _ in range(3)]
    assert "3 sessions ended" in act(admin, "end_sessions", viewer).text
    assert not any(is_in(client) for client in clients)
    assert not UserSession.objects.filter(user=viewer).exists()


def test_an_admin_does_neither_to_a_superuser(admin: User) -> None:
    root = User.objects.create_superuser("root", "root@firm.example", "root of the tests")
    root.groups.set(account("x", "viewer").groups.all())
    client, _, _ = set_up_app("root")
    for action in ("take_factors_away", "end_sessions"):
        act(admin, action, root)
    assert Authenticator.objects.filter(user=root).exists()
    assert is_in(client)


def test_secrets_and_sessions_have_no_page_in_the_admin(admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    client = signed_in(admin)
    page = client.get("/admin/").text
    for app in ("mfa", "account", "socialaccount", "usersessions"):
        assert f"/admin/{app}/" not in page
        assert client.get(f"/admin/{app}/").status_code == 404
