"""The ground that the tests stand on: a folder, a Valkey server and a database of their own.

`tests.settings` imports this before Django's settings read the environment, so nothing that is set
in a developer's shell reaches a test. Under xdist each worker has its own folder and Valkey; all
share one PostgreSQL, where each has its own database.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from dashboard import valkey
from dashboard.processes import tie_to_parent
from tests import postgresql

NAMES = (
    *(
        "ALLOWED_HOSTS",
        "CASEDEV_API_KEY",
        "CASEDEV_BASE_URL",
        "CASEDEV_CONFIRM_HOST",
        "DATABASE_URL",
        "DEBUG",
    ),
    *("DJANGO_SETTINGS_MODULE", "DJANGO_SUPERUSER_EMAIL", "DJANGO_SUPERUSER_PASSWORD"),
    *("DJANGO_SUPERUSER_USERNAME", "EMAIL_FROM", "EMAIL_URL"),
    *("METRICS_TOKEN", "PORT", "PUBLIC_URL", "WEBHOOK_HOSTS"),
    *("REDIS_URL", "REQUIRE_MFA"),
    *("RUNSHEET_DATA_DIR", "RUNSHEET_EMBEDDED", "SECRET_KEY", "TRUSTED_PROXIES"),
    *("SESSION_IDLE_HOURS", "SESSION_LONGEST_DAYS", "OIDC_DEFAULT_ROLE", "OIDC_DOMAINS"),
    *("OIDC_ISSUER", "OIDC_NAME", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"),
    *("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"),
    *("MICROSOFT_TENANT", "MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET"),
)
# What an xdist worker finds of the process that started it.
SHARED_ROOM, SHARED_DATABASE = "RUNSHEET_TEST_ROOM", "RUNSHEET_TEST_DATABASE_URL"
KEY = "sk_case_of_the_tests"


def bare() -> dict[str, str]:
    """This process's environment without any setting of ours: what a child may start from."""
    ours = {*NAMES, *(f"{name}_FILE" for name in NAMES), SHARED_ROOM, SHARED_DATABASE}
    return {name: value for name, value in os.environ.items() if name not in ours}


def prepare() -> Path:
    """Set the environment of this test process up; returns its folder."""
    room = _room()
    database = _database_url()
    for name in set(os.environ) - set(bare()) - {SHARED_ROOM, SHARED_DATABASE}:
        del os.environ[name]
    folder = room / os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder.mkdir()
    os.environ |= {
        "RUNSHEET_DATA_DIR": str(folder),
        "RUNSHEET_EMBEDDED": "1",
        "REDIS_URL": start_valkey(folder),
        "CASEDEV_API_KEY": KEY,
        "CASEDEV_BASE_URL": "http://127.0.0.1:1",  # nobody listens; tests name their own
    }
    if database:
        os.environ["DATABASE_URL"] = database
    return folder


def start_valkey(folder: Path) -> str:
    """A server that lives as long as this process; returns its URL."""
    path = valkey.place_for_socket(folder)
    server = subprocess.Popen(
        valkey.command(path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=tie_to_parent(os.getpid()),
    )
    atexit.register(server.kill)
    until = time.monotonic() + 20
    while not valkey.answers(valkey.url(path)):
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"valkey-server does not answer (exit code {server.poll()})")
        time.sleep(0.01)
    return valkey.url(path)


def _room() -> Path:
    if given := os.environ.get(SHARED_ROOM):
        return Path(given)
    room = Path(tempfile.mkdtemp(prefix="runsheet-tests-"))
    os.environ[SHARED_ROOM] = str(room)
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(room, ignore_errors=True))
    return room


def on_postgresql() -> bool:
    kind = os.environ.get("RUNSHEET_TEST_DATABASE", "sqlite")
    if kind not in ("sqlite", "postgresql"):
        raise RuntimeError(f"RUNSHEET_TEST_DATABASE is {kind!r}; it must be sqlite or postgresql.")
    return kind == "postgresql"


def _database_url() -> str:
    if not on_postgresql():
        return ""
    if SHARED_DATABASE not in os.environ:
        os.environ[SHARED_DATABASE] = postgresql.start()
    return os.environ[SHARED_DATABASE]
