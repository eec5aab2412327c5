"""Fixtures that every test may ask for.

`viewer`, `member`, `admin`: accounts; `viewer_client`, `member_client`: signed-in clients.
`simulator`: Case.dev's stand-in on loopback, which the settings then point at; its options come
from `@pytest.mark.simulator(speed=5, manual=True)`. `site`: the ASGI site on loopback, for
browsers. `product`: starts the whole product as processes.
"""

import fcntl
import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
import uvicorn
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.core.management import CommandError
from django.db import connection
from django.test import Client, TransactionTestCase

from dashboard import static
from runs import habits
from runs.casedev.client import client as casedev_client
from runs.simulator.testing import SimulatorServer
from tests import browsers
from tests.product import Product, until

# On a machine with two busy cores a deadline of milliseconds says nothing about the code.
hypothesis.settings.register_profile("tests", deadline=None, print_blob=True)
hypothesis.settings.load_profile("tests")


def pytest_sessionstart() -> None:
    """Bring the collected static files up to date, once for all processes of the run."""
    root = Path(django_settings.STATIC_ROOT)
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / "static.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        static.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or the whole product, and run it last.

    Playwright leaves an event loop running in its thread, which ordinary tests would stumble over.
    """
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "playwright" in fixtures:
            item.add_marker(pytest.mark.browser)
        if "product" in fixtures:
            item.add_marker(pytest.mark.product)
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: it need not be looked through, each time
    that garbage is."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Playwright's loop makes Django take this thread for an asynchronous one, until the very end
    of a test, when the database is emptied."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("browser"):
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        return (yield)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Threads keep their connections, and PostgreSQL drops no database that is in use."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def _own_hints() -> None:
    """No hint in Valkey, and no HTTP client, from the test before."""
    casedev_client.cache_clear()
    habits.forget()
    with redis.Redis.from_url(django_settings.REDIS_URL) as connection:
        connection.flushdb()


# Accounts ----------------------------------------------------------------------------------------


@pytest.fixture
def viewer(db: None) -> User:
    return account("violet", "viewer")


@pytest.fixture
def member(db: None) -> User:
    return account("mira", "member")


@pytest.fixture
def admin(db: None) -> User:
    user = account("ada", "admin")
    user.is_staff = True
    user.save()
    return user


@pytest.fixture
def viewer_client(viewer: User) -> Client:
    return signed_in(viewer)


@pytest.fixture
def member_client(member: User) -> Client:
    return signed_in(member)


def account(name: str, role: str) -> User:
    """A user in the group `role`; the password is the name and " of the tests"."""
    if not Group.objects.filter(name=role).exists():
        # A test that commits is followed by a flush, which takes the migration's rows along.
        import_module("dashboard.migrations.0002_roles").make_roles(apps, None)
        import_module("dashboard.migrations.0006_audit_log").allow(apps, None)
    user = User.objects.create_user(name, f"{name}@firm.example", f"{name} of the tests")
    user.groups.add(Group.objects.get(name=role))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# Servers -----------------------------------------------------------------------------------------


@pytest.fixture
def simulator(request: pytest.FixtureRequest, settings: Any) -> Iterator[SimulatorServer]:
    marker = request.node.get_closest_marker("simulator")
    options: dict[str, Any] = {"speed": 20} | (dict(marker.kwargs) if marker else {})
    with SimulatorServer(**options) as server:
        settings.CASEDEV_BASE_URL, settings.CASEDEV_API_KEY = server.url, server.key
        casedev_client.cache_clear()
        yield server
    casedev_client.cache_clear()


@pytest.fixture(scope="session")
def _server(django_db_setup: None) -> Iterator[str]:
    """The site on a free port, in a thread, for the whole session."""
    from dashboard.asgi import application

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(application, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started, 20, "the site to listen")
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture(scope="session", autouse=True)
def _patient_flush() -> Iterator[None]:
    """A stream that a test leaves open may be reading while the tables are emptied after it, and
    PostgreSQL ends one of two that wait for each other: then they are emptied once more."""
    empty: Callable[[Any], None] = vars(TransactionTestCase)["_fixture_teardown"]

    def patient(case: Any) -> None:
        for _ in range(4):
            try:
                empty(case)
            except CommandError as error:
                if "deadlock" not in str(error.__cause__):
                    raise
            else:
                return
        empty(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", patient)
        yield


@pytest.fixture
def site(transactional_db: None, _server: str) -> str:
    """The base URL of the running site; it sees what the test writes."""
    return _server


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Makes products: `product()`, `product(PORT="1")`; none outlives the test."""
    made: list[Product] = []

    def make(data: Path = tmp_path / "var", **settings: str) -> Product:
        made.append(Product(data, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()


# Browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Playwright's own browser if the system has none; a test fails if there is neither."""
    ours: dict[str, Any] = {"args": [*browsers.ARGUMENTS]}
    if path := os.environ.get("RUNSHEET_TEST_BROWSER") or browsers.system_browser():
        ours["executable_path"] = path
    return browser_type_launch_args | ours
