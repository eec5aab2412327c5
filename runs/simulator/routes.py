"""Names for the routes of the API, for faults and for counting."""

import re

_ROUTES: list[tuple[str, re.Pattern[str], str]] = [
    ("POST", re.compile(r"/agent/v1/run"), "create"),
    ("GET", re.compile(r"/agent/v1/run"), "list"),
    ("POST", re.compile(r"/agent/v1/run/([^/]+)/exec"), "exec"),
    ("GET", re.compile(r"/agent/v1/run/([^/]+)/status"), "status"),
    ("GET", re.compile(r"/agent/v1/run/([^/]+)/details"), "details"),
    ("GET", re.compile(r"/agent/v1/run/([^/]+)/events"), "events"),
    ("POST", re.compile(r"/agent/v1/run/([^/]+)/cancel"), "cancel"),
    ("POST", re.compile(r"/agent/v1/run/([^/]+)/watch"), "watch"),
    ("POST", re.compile(r"/agent/v1/execute"), "execute"),
    ("*", re.compile(r"/agent/v1/agents"), "agents"),
    ("*", re.compile(r"/agent/v1/agents/[^/]+"), "agent"),
]
NAMES = tuple(name for _, _, name in _ROUTES)
CONTROL = "/_simulator/"


def route_of(method: str, path: str) -> tuple[str, str | None]:
    """The name of the route and the id of the run in it; "other" for an unknown route."""
    for wanted, pattern, name in _ROUTES:
        if wanted in ("*", method) and (match := pattern.fullmatch(path)):
            return name, match.group(1) if pattern.groups else None
    return "other", None
