"""The production shape as Django's own deployment check, a browser and an operator find it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment
from tests.product import ROOT
from tests.test_settings import PRODUCTION, settings

KEY = {"SECRET_KEY": "T3bRk9vXw2LqZ7mYc5HdN8sJp4GfA6eUxK1oWiQzVtBnMyCr0D"}
OIDC = {
    "OIDC_ISSUER": "https://login.firm.example",
    "OIDC_CLIENT_ID": "runsheet",
    "OIDC_CLIENT_SECRET": "a secret of the client",
}
GOOGLE = {"GOOGLE_CLIENT_ID": "x", "GOOGLE_CLIENT_SECRET": "y", "OIDC_DOMAINS": "firm.example"}
TENANT = "0f8fad5b-d9cb-469f-a165-70867728950e"
MICROSOFT = {
    "MICROSOFT_TENANT": TENANT,
    "MICROSOFT_CLIENT_ID": "x",
    "MICROSOFT_CLIENT_SECRET": "y",
}


def test_djangos_deployment_check_finds_nothing(tmp_path: Path) -> None:
    own = {"RUNSHEET_DATA_DIR": str(tmp_path / "var"), "RUNSHEET_EMBEDDED": "off"}
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"],
        cwd=ROOT,
        env=environment.bare() | own | PRODUCTION | KEY | OIDC | GOOGLE | MICROSOFT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "no issues (2 silenced)" in checked.stdout  # with the reasons in settings.py


def test_cookies_are_bound_to_this_host_and_to_tls(tmp_path: Path) -> None:
    shown = settings(
        tmp_path,
        "s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, "
        "s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_SAMESITE, s.SECURE_HSTS_SECONDS, "
        "s.SECURE_HSTS_INCLUDE_SUBDOMAINS, s.SECURE_SSL_REDIRECT",
        **PRODUCTION,
    )
    assert shown.stdout.strip() == (
        "('__Host-session', '__Host-csrf', True, True, 'Lax', 31536000, True, True)"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "(43200, 604800, 1)"),
        ({"SESSION_IDLE_HOURS": "1", "SESSION_LONGEST_DAYS": "1"}, "(3600, 86400, 1)"),
        ({"TRUSTED_PROXIES": "2"}, "(43200, 604800, 2)"),
    ],
)
def test_the_ends_of_sessions_and_the_proxies_are_settings(
    tmp_path: Path, given: dict[str, str], expected: str
) -> None:
    show = "s.SESSION_COOKIE_AGE, s.SESSION_LONGEST_SECONDS, s.ALLAUTH_TRUSTED_PROXY_COUNT"
    assert settings(tmp_path, show, **PRODUCTION, **given).stdout.strip() == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("on", "(True, False)"), ("everyone", "(True, True)")]
)
def test_a_second_factor_is_asked_of_some_or_of_all(
    tmp_path: Path, value: str, expected: str
) -> None:
    shown = settings(tmp_path, "s.REQUIRE_MFA, s.MFA_FOR_EVERYONE", REQUIRE_MFA=value)
    assert shown.stdout.strip() == expected


def test_services_are_told_by_name_and_issuer(tmp_path: Path) -> None:
    show = (
        "[(a['provider_id'], a['name'], a['settings']['server_url']) "
        "for a in s.SOCIALACCOUNT_PROVIDERS['openid_connect']['APPS']]"
    )
    given = {**PRODUCTION, **OIDC, "OIDC_NAME": "Firm SSO", **GOOGLE, **MICROSOFT}
    assert settings(tmp_path, show, **given).stdout.strip() == str(
        [
            ("oidc", "Firm SSO", "https://login.firm.example"),
            ("google", "Google", "https://accounts.google.com"),
            ("microsoft", "Microsoft", f"https://login.microsoftonline.com/{TENANT}/v2.0"),
        ]
    )


def test_the_secret_of_a_client_can_be_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    given = {**PRODUCTION, **OIDC, "OIDC_CLIENT_SECRET_FILE": str(file)}
    del given["OIDC_CLIENT_SECRET"]
    show = "s.SOCIALACCOUNT_PROVIDERS['openid_connect']['APPS'][0]['secret']"
    assert settings(tmp_path, show, **given).stdout.strip() == "from a file"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("OIDC_CLIENT_SECRET", {**OIDC, "OIDC_CLIENT_SECRET": ""}),
        ("OIDC_ISSUER", {**OIDC, "OIDC_ISSUER": ""}),
        ("OIDC_ISSUER", {**OIDC, "OIDC_ISSUER": "http://login.firm.example"}),
        ("OIDC_ISSUER", {**OIDC, "OIDC_ISSUER": "login.firm.example"}),
        ("OIDC_DOMAINS", {**GOOGLE, "OIDC_DOMAINS": ""}),
        ("OIDC_DOMAINS", {**OIDC, "OIDC_DOMAINS": "https://firm.example"}),
        ("MICROSOFT_TENANT", {**MICROSOFT, "MICROSOFT_TENANT": "common"}),
        ("OIDC_DEFAULT_ROLE", {**OIDC, "OIDC_DEFAULT_ROLE": "admin"}),
        ("SESSION_IDLE_HOURS", {"SESSION_IDLE_HOURS": "0"}),
        ("SESSION_LONGEST_DAYS", {"SESSION_LONGEST_DAYS": "for ever"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "-1"}),
    ],
)
def test_what_is_half_set_or_too_wide_ends_the_start(
    tmp_path: Path, name: str, given: dict[str, str]
) -> None:
    ended = settings(tmp_path, **PRODUCTION, **given)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"runsheet: {name} ")
    assert ended.stderr.count("\n") == 1
    assert "a secret of the client" not in ended.stderr
