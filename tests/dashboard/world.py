"""Everybody who may knock at this site, and a thing behind every address."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver
from django.utils import timezone

from dashboard.models import ShareLink, ShareView
from runs.models import Agent, Payload, Revision, Run, Upstream
from tests.conftest import account, signed_in
from tests.dashboard.links import full_run, link_of, share
from tests.factories import make_agent

ROLES = ("stranger", "link A", "link B", "viewer", "member", "admin", "disabled")


def routes() -> list[str]:
    """Every route of the URLconf, as Django writes it."""
    return sorted(set(_walk(get_resolver().url_patterns)))


def _walk(patterns: list[Any], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, here)
        else:
            yield f"/{here}"


@dataclass
class World:
    """Two runs, each shared by a link; `clients` by role."""

    run: Run
    tokens: dict[str, str]
    clients: dict[str, Client] = field(default_factory=dict)
    _addresses: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def made(cls) -> "World":
        mira = account("mira", "member")
        run_a, run_b = full_run(run_id="run_a"), full_run(run_id="run_b")
        world = cls(run_a, {"link A": share(run_a, mira), "link B": share(run_b, mira)})
        ada = account("ada", "admin")
        User.objects.filter(pk=ada.pk).update(is_staff=True)
        gone = account("gone", "admin")
        world.clients = {
            "stranger": Client(),
            **{role: world.holder(token) for role, token in world.tokens.items()},
            "viewer": signed_in(account("violet", "viewer")),
            "member": signed_in(mira),
            "admin": signed_in(ada),
            "disabled": signed_in(gone),
        }
        User.objects.filter(pk=gone.pk).update(is_active=False)
        make_agent()
        Payload.objects.create(
            run=run_a,
            kind=Payload.Kind.GOOD,
            body=zlib.compress(b"{}"),
            size=2,
            observed_at=timezone.now(),
        )
        Upstream.objects.get_or_create(pk=Upstream.SOLE)
        return world

    @staticmethod
    def holder(token: str) -> Client:
        """A browser that has opened the link."""
        client = Client()
        client.get(f"/s/{token}/", headers={"accept": "text/html"}, follow=True)
        return client

    def address(self, route: str, role: str) -> str:
        """`route` about run A. Who holds link B asks it for what belongs to run A."""
        if (route, role) not in self._addresses:
            self._addresses[route, role] = self._address(route, role)
        return self._addresses[route, role]

    def _address(self, route: str, role: str) -> str:
        link_a = link_of(self.tokens["link A"])
        parts = {
            "<run_id:run_id>": "run_a",
            "<int:position>": "2",
            "<int:number>": "1",
            "<slug:name>": "prompt",
            "<slug:mark>": "0123456789abcdef",
            "<slug:part>": "input",
            "<str:token>": self.tokens.get(role, "A" * 43),
            "<str:public_id>": str(getattr(link_a, "public_id", "")),
            "<slug:provider_id>": "oidc",
            "<slug:order>": "0123456789abcdef",
            "<slug:batch>": "0123456789abcdef",
            "<path:content_type_id>": str(ContentType.objects.get_for_model(Run).pk),
            "<path:object_id>": self.key_of(route),
            "<id>": self.key_of(route),
            "(?P<app_label>runs|auth|dashboard)/$": "runs/",
            "(?P<url>.*)$": "nowhere/",
            "<int:pk>": str(link_a.pk) if route.startswith("/share-links/") else "999999",
            "^": "",
        }
        if route == "/^s/":
            return "/s/x/y/z/"
        for name, value in parts.items():
            route = route.replace(name, value)
        assert "<" not in route, f"{route}: say here what stands for its part"
        return route

    def key_of(self, route: str) -> str:
        """The key of a row of the model that an admin route is about."""
        tables: dict[str, Any] = {
            "auth/user": User.objects.filter(username="violet"),
            "auth/group": Group.objects.filter(name="viewer"),
            "dashboard/sharelink": ShareLink.objects.all(),
            "dashboard/shareview": ShareView.objects.all(),
            "runs/agent": Agent.objects.all(),
            "runs/run": Run.objects.filter(run_id="run_a"),
            "runs/payload": Payload.objects.all(),
            "runs/revision": Revision.objects.all(),
        }
        for name, rows in tables.items():
            if route.startswith(f"/admin/{name}/"):
                first = rows.order_by("pk").first()
                return str(first.pk) if first else "1"
        return str(self.run.pk)
