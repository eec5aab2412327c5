"""No secret is shown, wherever it is printed, logged, stored or crashed with; no line forged."""

import copy
import json
import logging
import os
import pickle
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis
from django.test import Client, RequestFactory
from django.utils.log import configure_logging
from django.views.debug import ExceptionReporter

from dashboard import logs
from runs.casedev import client as casedev
from runs.secret import Secret
from tests import environment
from tests.product import PASSWORD, ROOT, Product, descendants, until

KEY = "sk_case_CANARY_4f9d"
TOKEN = "Zq3vB9kLm2XwT7yRp5sNc8dFg1hJ4aEu6iOoQeVbWx0"


# The type ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret}{secret!s}{secret!r}{secret:>9}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: "a" + secret + "b",
        lambda secret: "".join([secret, "b"]),
        json.dumps,
        lambda secret: json.dumps({"key": [secret]}),
        lambda secret: msgspec.json.encode({"key": secret}, enc_hook=str).decode(),
        lambda secret: pickle.dumps(secret).decode("latin-1"),
        lambda secret: str(pickle.loads(pickle.dumps([secret]))),
        lambda secret: str(copy.deepcopy({"key": secret})),
        lambda secret: secret.encode().decode() + secret.upper() + secret[:] + secret.strip(),
        lambda secret: str([getattr(secret, name, "") for name in dir(secret)]),
        lambda secret: str({"key": secret}) + str((secret,)) + str({secret}),
    ],
)
def test_a_secret_shows_three_asterisks_however_it_is_shown(show: Callable[[Any], Any]) -> None:
    assert "CANARY" not in show(Secret(KEY)).upper()


def test_a_secret_is_told_only_when_asked_by_name() -> None:
    assert Secret(KEY).reveal() == KEY
    assert Secret(Secret(KEY)).reveal() == KEY
    assert copy.deepcopy(Secret(KEY)).reveal() == KEY
    assert bool(Secret("")) is False
    assert Secret("").reveal() == ""


def test_secrets_are_equal_by_what_they_hold_and_never_to_a_plain_text() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("other")
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != KEY
    assert Secret(KEY) != "***"
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2


def test_a_secret_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Secret(KEY)._reveal = lambda: "x"


def test_neither_the_settings_nor_a_client_show_the_key(settings: Any) -> None:
    assert isinstance(settings.CASEDEV_API_KEY, Secret)
    asked = casedev.Client("https://api.case.dev", Secret(KEY))
    assert KEY not in f"{vars(asked)!r} {asked._headers!r}"


# Logs --------------------------------------------------------------------------------------------

LEAKS = [
    f"key {KEY}",
    f"GET /s/{TOKEN}/cost/ HTTP/1.1",
    f"Authorization: Bearer {KEY}",
    f"authorization: basic {TOKEN}",
    f"Cookie: __Host-session={TOKEN}; a=b",
    f"runsheet-session={TOKEN}",
    f"{{'sessionid': '{TOKEN}'}}",
    f"password={TOKEN}&login=ada",
    f"{{'password1': '{TOKEN}', \"passphrase\": \"{TOKEN}\"}}",
    f"postgresql://runsheet:{TOKEN}@db.example/runsheet",
    f"redis://:{TOKEN}@redis.example:6379/0",
    f"csrfmiddlewaretoken={TOKEN}",
    f"the token runsheet_{TOKEN} was refused",
]


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text


@pytest.mark.parametrize("leak", LEAKS)
def test_a_secret_is_masked_in_messages_arguments_and_tracebacks(
    written: Callable[[], str], leak: str
) -> None:
    log = logging.getLogger("anybody")
    log.error(leak)
    log.error("it was %s and %r", leak, {"a": [leak]})
    log.error("with the stack", stack_info=True)
    try:
        raise ValueError(leak) from KeyError(leak)
    except ValueError:
        log.exception("crash")
    assert "ValueError" in written()
    assert "CANARY" not in written()
    assert TOKEN not in written()


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\r\n", "\x1b[2J", "\x00", "\x85", "\u2028", "\u202e"]
)
def test_no_value_forges_a_line_of_the_log(written: Callable[[], str], character: str) -> None:
    forged = f"x{character}2026-11-24 12:00:00 INFO audit: all is well"
    log = logging.getLogger("anybody")
    log.warning("unknown run %s", forged)
    log.warning(forged)
    try:
        raise ValueError(forged)
    except ValueError:
        log.exception("crash")
    assert character not in written().replace("\n", "") or character == "\n"
    assert not re.search(r"^2026-11-24 12:00:00 INFO", written(), re.MULTILINE)
    assert written().splitlines()[0].endswith("all is well")


def test_a_traceback_keeps_its_lines_and_none_of_them_starts_a_line(
    written: Callable[[], str],
) -> None:
    try:
        raise ValueError("first\nERROR second")
    except ValueError:
        logging.getLogger("anybody").exception("crash")
    trace = written().splitlines()[1:]
    assert len(trace) >= 4
    assert all(line.startswith("  ") for line in trace)


CRASHES = {
    "process": "raise ValueError(told)",
    "thread": "import threading as t; a = t.Thread(target=int, args=(told,)); a.start(); a.join()",
    "log": "import logging; logging.getLogger('x').critical('%s', told)",
    "uvicorn": "import logging; logging.getLogger('uvicorn.error').error(told)",
    "cause": "try: 1 / 0\nexcept Exception as e: raise OSError(told) from e",
}


@pytest.mark.parametrize("crash", CRASHES)
def test_what_a_process_says_at_its_end_holds_no_secret(tmp_path: Path, crash: str) -> None:
    told = f"told = 'x {KEY} /s/{TOKEN}/ {'k' * 40} postgres://a:{TOKEN}@b\\nforged'\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{told}{CRASHES[crash]}"],
        cwd=ROOT,
        env=environment.bare()
        | {
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "RUNSHEET_DATA_DIR": str(tmp_path),
            "CASEDEV_API_KEY": KEY,
            "SECRET_KEY": "k" * 40,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert "***" in said
    assert not [secret for secret in ("CANARY", TOKEN, "k" * 40) if secret in said]
    assert "\nforged" not in said


def test_django_s_error_report_hides_what_frames_settings_and_requests_hold(settings: Any) -> None:
    settings.DEBUG = True
    settings.SOME_URL = f"redis://:{TOKEN}@host"
    request = RequestFactory().get("/x", headers={"Authorization": f"Bearer {KEY}"})
    request.COOKIES["runsheet-session"] = TOKEN
    try:
        held, secret_key = {"key": KEY, "address": f"/s/{TOKEN}/"}, TOKEN
        raise ValueError(f"{len(held)} {len(secret_key)}")
    except ValueError:
        reporter = ExceptionReporter(request, *sys.exc_info())
    for report in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert "ValueError" in report
        assert KEY not in report
        assert TOKEN not in report


def test_logging_is_not_undone_by_its_configuration(settings: Any) -> None:
    assert logging.getLogRecordFactory() is logs.clean_record
    configure_logging("logging.config.dictConfig", settings.LOGGING)
    assert logging.getLogRecordFactory() is logs.clean_record


# The whole product -------------------------------------------------------------------------------


def test_a_hundred_errors_leave_no_secret_anywhere(product: Callable[..., Product]) -> None:
    """In output, database, Valkey, files and process list, with a key that the API refuses."""
    it = product(CASEDEV_API_KEY=KEY, CASEDEV_BASE_URL="http://127.0.0.1:9")
    it.start()
    session = signed_in(it)
    tokens = [secrets.token_urlsafe(32) for _ in range(30)]
    for token in tokens:
        it.get(f"/s/{token}/")
        it.get(f"/s/{token}/cost/%0d%0aforged")
        httpx.post(f"{it.url}/s/{token}/", trust_env=False, data={"passphrase": token})
    for number in range(20):
        session.get(f"/runs/run_{number}_{KEY}/")
        session.post("/runs/add/", data={"run": f"run_{number}"})  # asks the API, in vain
    arguments = [
        Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        for pid in [it.process.pid, *descendants(it.process.pid)]  # type: ignore[union-attr]
    ]
    os.kill(it.parts()["worker"], signal.SIGSEGV)
    until(lambda: "worker" in it.parts(), 30, "another worker")
    data = Path(it.environment["RUNSHEET_DATA_DIR"])
    held = valkey_dump(data / "valkey.url")
    it.send(signal.SIGTERM)
    it.wait()
    cookie = session.cookies["runsheet-session"]
    wrong = it.manage("check", "--nonsense", KEY[:0])
    places = {
        "output": it.output + wrong.stdout + wrong.stderr,
        "arguments": "\n".join(arguments),
        "database": "\n".join(dump(path) for path in data.glob("*.sqlite3")),
        "Valkey": held,
    }
    sought = {KEY: "key", PASSWORD: "password", cookie: "session"} | dict.fromkeys(tokens, "token")
    found = [
        (where, what)
        for where, text in places.items()
        for secret, what in sought.items()
        if secret in text and (where, what) != ("database", "session")
    ]
    assert found == []


def signed_in(it: Product) -> httpx.Client:
    session = httpx.Client(base_url=it.url, trust_env=False, timeout=20, follow_redirects=True)
    form = session.get("/accounts/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    assert token
    sent = {"login": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    assert session.post("/accounts/login/", data=sent).status_code == 200
    session.headers["X-CSRFToken"] = session.cookies["runsheet-csrf"]
    return session


def dump(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def valkey_dump(noted: Path) -> str:
    with redis.Redis.from_url(noted.read_text().strip()) as connection:
        return repr([(key, connection.dump(key)) for key in connection.scan_iter()])


def test_the_paths_of_wrong_links_are_not_in_the_log(
    client: Client, db: None, written: Callable[[], str]
) -> None:
    client.get(f"/s/{TOKEN}/nowhere/")
    client.get(f"/nowhere/s/{TOKEN}/")
    done = threading.Thread(target=logging.getLogger("x").warning, args=(f"/s/{TOKEN}/",))
    done.start()
    done.join()
    assert TOKEN not in written()
