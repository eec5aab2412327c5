"""Every route x method x role has its expected answer, in routes.txt; what is not there fails.

Each group of routes is walked in full. On the way every answer is held to the security headers,
every GET and HEAD to writing nothing but what WRITTEN allows, and every unsafe request to its
CSRF token. When something has changed on purpose, what the site answers now lies in
`.cache/routes/<group>.txt`; read it, line by line, before it goes into routes.txt.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction
from django.http.response import HttpResponseBase
from django.test import Client

from runs import notices
from tests.dashboard.world import ROLES, World, routes
from tests.product import ROOT

TABLE = Path(__file__).with_name("routes.txt")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BROWSER = {"accept": "text/html"}
SAFE = ("GET", "HEAD", "OPTIONS")
# Groups by the first match, in this order; the last takes the rest.
GROUPS = {
    "admin-runs-1": "/admin/runs/[a-o]",
    "admin-runs-2": "/admin/runs/",
    "admin": "/admin/",
    "accounts": "/accounts/",
    "shared": r"/\^?s/",
    "site": "/",
}
HEADERS = {
    "Cache-Control": "no-store",  # nothing of it in a history, a disk cache or a proxy
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "-",  # same-origin or no-referrer
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# What a look may write: sessions, and logs of who looked.
WRITTEN = {
    "django_session",
    "usersessions_usersession",
    "dashboard_shareview",
    "dashboard_sharelink",  # how often it was opened
    "dashboard_audit",
    "dashboard_audit_head",
    "django_cache",  # counts of tries: a HEAD of the login is one
}
LOGS = {"django_session", "dashboard_audit", "dashboard_audit_head"}
# An open page makes the poll of its run due: a hint to a machine, not a change of the record.
ALSO_WRITTEN = {"/live/": {"runs_poll"}}

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either, pytest.mark.timeout(900)]


def group_of(route: str) -> str:
    return next(name for name, pattern in GROUPS.items() if re.match(pattern, route))


def expected() -> dict[str, list[str]]:
    """Lines of the table by route."""
    found: dict[str, list[str]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("/"):
            found.setdefault(line.split()[0], []).append(" ".join(line.split()))
    return found


def test_no_route_is_without_its_line_and_no_line_without_its_route() -> None:
    assert sorted(expected()) == routes()


@pytest.mark.parametrize("group", GROUPS)
def test_every_route_answers_each_method_to_each_role_as_the_table_says(
    group: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "django.security.csrf")
    walk = Walk(World.made())
    lines = [line for route in routes() if group_of(route) == group for line in walk.lines(route)]
    folder = ROOT / ".cache" / "routes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{group}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "\n".join(walk.wrongs) == ""
    table = expected()
    wanted = [line for route in table if group_of(route) == group for line in table[route]]
    assert [" ".join(line.split()) for line in lines] == wanted


class Walk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.wrongs: list[str] = []

    def lines(self, route: str) -> Iterator[str]:
        """The methods that are answered alike to everybody stand in one line."""
        alike: dict[tuple[str, ...], list[str]] = {}
        notices.connection().flushdb()  # nobody is held off for the wrong tokens before
        for method in METHODS:
            answers = tuple(self.answer(route, method, role) for role in ROLES)
            alike.setdefault(answers, []).append(method)
        for answers, methods in alike.items():
            named = "every" if len(methods) == len(METHODS) else ",".join(methods)
            columns = "  ".join(f"{answer:<10}" for answer in answers)
            yield f"{route:<56} {named:<36} {columns}".rstrip()

    def answer(self, route: str, method: str, role: str) -> str:
        client = self.world.clients[role]
        address = self.world.address(route, role)
        told = f"{method} {address} as {role}"
        with undone(client), written() as tables:
            response = client.generic(method, address, headers=BROWSER)
            is_whole = address.endswith("/read/whole/")  # a page, as long as its run
            is_file = is_whole or bool(response.headers.get("Content-Disposition"))
            if not isinstance(response, HttpResponseBase) or (response.streaming and not is_file):
                self.wrongs.append(f"{told}: a stream that was not asked for")
        if method in SAFE:
            also = {
                name for part, names in ALSO_WRITTEN.items() if part in address for name in names
            }
            if more := tables - WRITTEN - also:
                self.wrongs.append(f"{told}: writes {sorted(more)}")
        elif role in ("stranger", "link A", "admin") and method in ("POST", "DELETE"):
            self.wrongs += self.without_token(client, method, address, told)
        for name, start in HEADERS.items():
            if start not in response.headers.get(name, "absent"):
                self.wrongs.append(f"{told}: {name} is {response.headers.get(name)!r}")
        return in_short(response)

    def without_token(self, client: Client, method: str, address: str, told: str) -> Iterator[str]:
        """An unsafe request without the token does nothing, whoever sends it."""
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = SimpleCookie(client.cookies)
        with undone(strict), written() as tables:
            status = strict.generic(method, address, headers=BROWSER).status_code
        if status not in (401, 403, 404, 405) or tables - LOGS:
            yield f"{told}: {status} without a token, writing {sorted(tables)}"


KNOWN = {
    "/accounts/login/": "login",
    "/accounts/reauthenticate/": "confirm",
    "/admin/login/": "door",  # the admin's, which leads strangers on to the login
}


def in_short(response: Any) -> str:
    """ "200", "404", or where a redirect leads to, without keys: "login", "->/runs/*/"."""
    if response.status_code not in (301, 302, 303, 307, 308):
        return str(response.status_code)
    path = urlsplit(response["Location"]).path
    path = re.sub(r"^/s/-/[^/]+/", "/s/-/*/", re.sub(r"/\d+(?=/)", "/*", path))
    return KNOWN.get(path, f"->{path}")


@contextmanager
def undone(client: Client) -> Iterator[None]:
    """Whatever was done in here did not happen, for the database and for the browser."""
    cookies = SimpleCookie(client.cookies)
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    client.cookies = cookies


@contextmanager
def written() -> Iterator[set[str]]:
    """Names of the tables that are written in here."""
    tables: set[str] = set()

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if found := re.match(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)', sql.strip()):
            tables.add(found[1])
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield tables
