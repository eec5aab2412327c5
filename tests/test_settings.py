"""The contract of the environment: what each variable takes, and what it says to a wrong value."""

import re
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from tests import environment
from tests.product import ROOT

SECRET = "s" * 50
PRODUCTION = {
    "DATABASE_URL": "postgresql://runsheet:pw-of-the-database@db.example/runsheet",
    "REDIS_URL": "redis://redis.example:6379/0",
    "SECRET_KEY": SECRET,
    "CASEDEV_API_KEY": "sk_case_something",
    "PUBLIC_URL": "https://runs.example.org",
}


def settings(
    tmp_path: Path, show: str = "None", **given: str
) -> "subprocess.CompletedProcess[str]":
    """Load the settings in a process with only `given` set, and print the expression `show`."""
    program = f"from dashboard import settings as s; print(({show}))"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment.bare() | {"RUNSHEET_DATA_DIR": str(tmp_path / "var")} | given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


WRONG = [
    {"PORT": "eighty"},
    {"PORT": "0"},
    {"PORT": "65536"},
    {"DEBUG": "perhaps"},
    {"REQUIRE_MFA": "perhaps"},
    {"RUNSHEET_EMBEDDED": "perhaps"},
    {"CASEDEV_API_KEY": "pk_live_1234567"},
    {"CASEDEV_API_KEY": "sk_case_with a blank"},
    {"CASEDEV_BASE_URL": "api.case.dev"},
    {"CASEDEV_BASE_URL": "ftp://api.case.dev"},
    {"CASEDEV_BASE_URL": "http://api.case.dev"},
    {"CASEDEV_BASE_URL": "https://user:pass@api.case.dev"},
    {"CASEDEV_BASE_URL": "https://api.case.dev/?v=1"},
    {"CASEDEV_BASE_URL": "https://api.case.dev:port"},
    {"CASEDEV_BASE_URL": "https://"},
    {"DATABASE_URL": "sqlite:///runsheet.sqlite3"},
    {"DATABASE_URL": "postgresql://db.example"},
    {"DATABASE_URL": "postgresql:///runsheet"},
    {"REDIS_URL": "localhost:6379"},
    {"REDIS_URL": "redis://localhost/first"},
    {"EMAIL_URL": "mail.example.org"},
    {"EMAIL_URL": "https://mail.example.org"},
    {"EMAIL_URL": "smtp://mail.example.org/inbox"},
    {"EMAIL_URL": "smtp+plain://user:password@mail.example.org"},
    {"EMAIL_FROM": "", "EMAIL_URL": "smtp://mail.example.org"},
    {"EMAIL_FROM": "nobody", "EMAIL_URL": "smtp://mail.example.org"},
    {"EMAIL_FROM": "a\nb@example.org", "EMAIL_URL": "smtp://mail.example.org"},
    {"ALLOWED_HOSTS": "https://runs.example.org"},
    {"ALLOWED_HOSTS": "runs.example.org:8000"},
    {"ALLOWED_HOSTS": "runs example"},
    {"PUBLIC_URL": "runs.example.org"},
    {"PUBLIC_URL": "https://runs.example.org/runsheet"},
    {"RUNSHEET_DATA_DIR": "/dev/null"},
    {"RUNSHEET_DATA_DIR": "/proc/nowhere"},
    {**PRODUCTION, "SECRET_KEY": ""},
    {**PRODUCTION, "SECRET_KEY": "short"},
    {**PRODUCTION, "CASEDEV_BASE_URL": "http://127.0.0.1:9000"},
]


def names_of(given: dict[str, str]) -> str:
    """The variable that is wrong: the one that production does not have, or has otherwise."""
    return next(name for name in given if given[name] != PRODUCTION.get(name))


@pytest.mark.parametrize("given", WRONG, ids=lambda g: f"{names_of(g)}={g[names_of(g)]}")
def test_a_wrong_value_ends_the_start_with_one_sentence_that_names_the_variable(
    tmp_path: Path, given: dict[str, str]
) -> None:
    ended = settings(tmp_path, **given)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"runsheet: {names_of(given)}")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.endswith((".\n", ")\n"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASEDEV_API_KEY", "pk_live_do_not_print"),
        ("CASEDEV_BASE_URL", "https://user:do_not_print@api.case.dev"),
        ("DATABASE_URL", "mysql://user:do_not_print@db/runsheet"),
        ("REDIS_URL", "amqp://user:do_not_print@redis"),
        ("EMAIL_URL", "pop3://user:do_not_print@mail.example.org"),
        ("EMAIL_URL", "smtp+plain://user:do_not_print@mail.example.org"),
        ("SECRET_KEY", "do_not_print"),
    ],
)
def test_the_sentence_never_repeats_a_secret(tmp_path: Path, name: str, value: str) -> None:
    ended = settings(tmp_path, **{**PRODUCTION, name: value})
    assert ended.returncode == 2
    assert "do_not_print" not in ended.stderr


def test_without_any_setting_it_is_a_demo_on_this_machine(tmp_path: Path) -> None:
    shown = settings(
        tmp_path,
        "s.EMBEDDED, s.PORT, s.DEBUG, s.REQUIRE_MFA, s.CASEDEV_IS_SIMULATED, "
        "s.DATABASES['default']['NAME'][-12:], s.REDIS_URL.startswith('unix://'), s.PUBLIC_URL",
    )
    assert shown.stdout.strip() == ("(True, 8000, False, False, True, 'demo.sqlite3', True, '')")


def test_a_mail_server_is_read_from_its_address(tmp_path: Path) -> None:
    sender = "Runsheet <runsheet@example.org>"
    shown = settings(
        tmp_path,
        "s.MAILERS['default']['OPTIONS'], s.DEFAULT_FROM_EMAIL, s.logs.mask('x p@ss/word y')",
        EMAIL_URL="smtp://me:p%40ss%2Fword@mail.example.org",
        EMAIL_FROM=sender,
    )
    options, told, masked = literal_eval(shown.stdout)
    assert told == sender
    assert masked == "x *** y"
    assert options == {
        "host": "mail.example.org",
        "port": 587,
        "username": "me",
        "password": "p@ss/word",
        "use_tls": True,
        "use_ssl": False,
        "timeout": 10,
    }


def test_production_is_strict(tmp_path: Path) -> None:
    shown = settings(
        tmp_path,
        "s.EMBEDDED, s.REQUIRE_MFA, s.CASEDEV_BASE_URL, s.SESSION_COOKIE_SECURE, "
        "'runs.example.org' in s.ALLOWED_HOSTS, s.CSRF_TRUSTED_ORIGINS",
        **PRODUCTION,
    )
    assert shown.stdout.strip() == (
        "(False, True, 'https://api.case.dev', True, True, ['https://runs.example.org'])"
    )
    assert not (tmp_path / "var").exists()


def test_a_key_makes_runs_real_and_keeps_them_apart_from_the_demo(tmp_path: Path) -> None:
    shown = settings(
        tmp_path,
        "s.CASEDEV_IS_SIMULATED, s.CASEDEV_BASE_URL, s.DATABASES['default']['NAME'][-16:]",
        CASEDEV_API_KEY="sk_case_something",
    )
    assert shown.stdout.strip() == "(False, 'https://api.case.dev', 'runsheet.sqlite3')"


@pytest.mark.parametrize("key", ["", "sk_case_something", "key-of-a-stand-in"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_plain_http_is_for_a_stand_in_on_this_machine_with_or_without_a_key(
    tmp_path: Path, host: str, key: str
) -> None:
    address = f"http://{host}:9000"
    shown = settings(
        tmp_path,
        "s.CASEDEV_BASE_URL, s.CASEDEV_IS_SIMULATED",
        CASEDEV_BASE_URL=f"{address}/",
        CASEDEV_API_KEY=key,
    )
    assert shown.stdout.strip() == f"('{address}', False)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASEDEV_API_KEY", "sk_case_from_a_file"),
        ("DATABASE_URL", "postgresql://a:b@db.example/other"),
        ("REDIS_URL", "rediss://redis.example:6380/3"),
        ("SECRET_KEY", "k" * 50),
    ],
)
def test_a_secret_can_be_read_from_a_file(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "secret with a blank"
    file.write_text(f"{value}\n")
    given = {**PRODUCTION, f"{name}_FILE": str(file)}
    del given[name]
    told = f"getattr(s.{name}, 'reveal', lambda: s.{name})()"
    assert settings(tmp_path, told, **given).stdout.strip() == value


def test_a_secret_given_twice_or_in_no_file_is_refused(tmp_path: Path) -> None:
    twice = settings(tmp_path, SECRET_KEY=SECRET, SECRET_KEY_FILE="/etc/hostname")
    assert twice.returncode == 2
    assert twice.stderr.startswith("runsheet: SECRET_KEY and SECRET_KEY_FILE are both set")
    missing = settings(tmp_path, SECRET_KEY_FILE="/nowhere/at/all")
    assert missing.returncode == 2
    assert missing.stderr.startswith("runsheet: SECRET_KEY_FILE names '/nowhere/at/all'")


def test_the_made_secret_key_is_kept_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = settings(tmp_path, "s.SECRET_KEY").stdout
    assert len(first) > 50
    assert settings(tmp_path, "s.SECRET_KEY").stdout == first
    folder = tmp_path / "var"
    assert (folder / "secret_key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.iterdir()] == ["secret_key"]


def test_a_command_beside_make_run_finds_what_it_noted(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "simulator.url").write_text("http://127.0.0.1:4321")
    (folder / "valkey.url").write_text("unix:///tmp/elsewhere/valkey.sock")
    shown = settings(tmp_path, "s.CASEDEV_BASE_URL, s.REDIS_URL", RUNSHEET_DATA_DIR=str(folder))
    assert shown.stdout.strip() == (
        "('http://127.0.0.1:4321', 'unix:///tmp/elsewhere/valkey.sock')"
    )


def test_with_a_key_the_noted_simulator_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "simulator.url").write_text("http://127.0.0.1:4321")
    shown = settings(tmp_path, "s.CASEDEV_BASE_URL", CASEDEV_API_KEY="sk_case_something")
    assert shown.stdout.strip() == "https://api.case.dev"


def test_every_variable_is_in_the_readme_and_kept_from_the_tests() -> None:
    read = {
        name
        for path in (ROOT / "dashboard").rglob("*.py")
        for name in re.findall(
            r"environment\.\w+\(\s*\"([A-Z][A-Z_]+)\"", path.read_text(encoding="utf-8")
        )
    }
    assert {"PORT", "DATABASE_URL", "DJANGO_SUPERUSER_PASSWORD"} <= read
    assert read - set(environment.NAMES) == set()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", readme))
    told |= {f"DJANGO_SUPERUSER{end}" for end in re.findall(r"`(_[A-Z]+)`", readme)}
    assert read - told == set()
