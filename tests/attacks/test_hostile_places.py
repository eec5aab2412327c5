"""Hostile text on the pages that have room for few texts at once: they are filled anew and loaded
again until each has shown enough different payloads."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.urls import reverse
from django.utils import timezone

from dashboard.api import tokens
from dashboard.api.models import ApiToken
from dashboard.models import ShareLink, ShareView
from dashboard.notes.models import Label, Mention, Note
from dashboard.notices.models import Notice
from dashboard.saved.models import SavedView
from runs import packing
from runs.models import Agent, Discovery, Poll, Run, Step, Upstream, UsageEntry
from runs.models import Payload as Answer
from tests.attacks.corpus import corpus
from tests.attacks.extent import extent
from tests.attacks.furnish import (
    addresses,
    listed_runs,
    long_entry,
    looks,
    mark_in,
    reword,
    reword_runs,
)
from tests.attacks.hostile import Supply, details, step_of_many, stored, surround
from tests.attacks.places import ENOUGH, NO_TEXT, RUN, SHOWN, STEP_LINK, assert_enough
from tests.attacks.watched import Watch
from tests.conftest import account, signed_in
from tests.dashboard.links import share
from tests.dashboard.test_routes import expected
from tests.factories import make_run, make_steps

pytestmark = [pytest.mark.same_on_either, pytest.mark.timeout(1_500)]

PAYLOADS = corpus()


class Place(NamedTuple):
    """`path` may depend on the turn's payloads; `fill` writes them into what the page shows."""

    route: str
    path: str | Callable[[Supply], str]
    fill: Callable[[Supply], Any] = lambda supply: None
    act: Callable[[Watch, Supply], None] | None = None


def visit_until_enough(watch: Watch, place: Place, supply: Supply) -> None:
    """Or until a load shows nothing that was not seen before."""
    shown, before = watch.places[place.route], -1
    while before < len(shown) < ENOUGH:
        before = len(shown)
        place.fill(supply)
        path = place.path if isinstance(place.path, str) else place.path(supply)
        if place.act:
            watch.page.goto(f"{watch.base}{path}")
            place.act(watch, supply)
            watch.look(place.route)
        else:
            watch.visit(place.route, path)


def confirm(watch: Watch, user: User) -> None:
    """Some pages ask to prove again who one is."""
    watch.page.goto(f"{watch.base}/accounts/reauthenticate/")
    watch.page.fill("[name=password]", f"{user.username} of the tests")
    with watch.page.expect_navigation():
        watch.page.press("[name=password]", "Enter")


def test_every_page_is_attacked_or_there_is_a_reason_why_not() -> None:
    """By the table of routes, which is held to the URLconf by a test of its own."""
    attacked = {route for routes in SHOWN.values() for route in routes}
    silent = {route for routes in NO_TEXT.values() for route in routes}
    answering = {
        route.removeprefix("/")
        for route, lines in expected().items()
        if any(" 200" in line and re.search("GET|every", line) for line in lines)
    }
    assert answering - attacked - silent == set()
    assert attacked & silent == set()
    assert (attacked | silent) - {route.removeprefix("/") for route in expected()} == set()


# Small pages -------------------------------------------------------------------------------------


def test_no_text_acts_where_little_of_it_stands(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    supply = Supply(PAYLOADS)
    places = [*of_links(admin), *of_people(admin), *of_lists(admin), *of_the_site()]
    with attacked(admin) as watch:
        confirm(watch, admin)
        for place in places:
            visit_until_enough(watch, place, supply)
    shown = {route: len(watch.places[route]) for route in SHOWN["small pages"]}
    report(loads=watch.loads, shown=shown, requests=len(watch.asked))
    assert_enough(watch, "small pages")


def of_links(admin: User) -> list[Place]:
    run = make_run(run_id="run_links")
    for _ in range(60):
        share(run, admin)
    links = [*ShareLink.objects.all()]
    first = links[0]
    views = [
        ShareView(link=first, at=timezone.now(), page="timeline", is_robot=n % 4 == 0)
        for n in range(60)
    ]
    ShareView.objects.bulk_create(views)

    def viewed(supply: Supply) -> None:
        reword([first], supply, purpose=20)
        reword(ShareView.objects.all(), supply, agent=3)

    def linked(supply: Supply) -> None:
        Run.objects.filter(pk=run.pk).update(output=addresses(supply))

    make_steps(run, 1, type="output")

    def leading(supply: Supply) -> str:
        text = addresses(supply)
        run.steps.update(content=text)
        return f"/runs/{run.run_id}/steps/1/links/{mark_in(text)}/"

    here = f"/share-links/{first.pk}/"
    return [
        Place("share-links/", "/share-links/", lambda s: reword(links, s, purpose=2, recipient=2)),
        Place("share-links/<int:pk>/", here, viewed),
        Place(
            "share-links/<int:pk>/revoke/",
            f"{here}revoke/",
            lambda s: reword([first], s, purpose=250),
        ),
        Place(
            "runs/<run_id:run_id>/seen/", f"/runs/{run.run_id}/seen/", lambda s: looks(run, s, 40)
        ),
        Place(
            "runs/<run_id:run_id>/result/links/<int:number>/",
            f"/runs/{run.run_id}/result/links/1/",
            linked,
        ),
        Place(STEP_LINK, leading),
    ]


def of_people(admin: User) -> list[Place]:
    for _ in range(40):
        opened = signed_in(admin).session.session_key
        UserSession.objects.create(user=admin, ip="192.0.2.1", session_key=opened, user_agent="x")
    for _ in range(5):
        tokens.create(admin, "x", 7)
    Authenticator.objects.bulk_create(
        Authenticator(user=admin, type="webauthn", data={"name": "x", "credential": {}})
        for _ in range(10)
    )
    key = Authenticator.objects.earliest("pk")  # shown alone on two pages
    role = Group.objects.create(name="role")
    admin.groups.add(role)

    def passkeys(supply: Supply) -> None:
        for row in Authenticator.objects.all():
            row.data["name"] = supply.some(250 if row.pk == key.pk else 30, " ")
            row.save()

    def sessions(supply: Supply) -> None:
        reword(UserSession.objects.exclude(ip="127.0.0.1"), supply, user_agent=1)

    def named(supply: Supply) -> None:
        Group.objects.filter(pk=role.pk).update(name=supply.some(250, " "))

    keys = "accounts/2fa/passkeys/<int:pk>/"
    return [
        Place("accounts/", "/accounts/", named),
        Place("accounts/2fa/", "/accounts/2fa/", passkeys),
        Place(f"{keys}edit/", f"/accounts/2fa/passkeys/{key.pk}/edit/", passkeys),
        Place(f"{keys}remove/", f"/accounts/2fa/passkeys/{key.pk}/remove/", passkeys),
        Place("accounts/sessions/", "/accounts/sessions/", sessions),
        Place(
            "accounts/tokens/",
            "/accounts/tokens/",
            lambda s: reword(ApiToken.objects.all(), s, name=50),
        ),
    ]


def of_lists(admin: User) -> list[Place]:
    now = timezone.now()
    run = make_run(run_id="run_noted")
    notes = [Note(run=run, author=admin, text="x", created_at=now) for _ in range(20)]
    Note.objects.bulk_create(notes)
    Mention.objects.bulk_create(Mention(note=note, user=admin) for note in notes)
    Label.objects.bulk_create(Label(name=f"label {n}") for n in range(20))
    views = [SavedView(owner=admin, name=f"v{n}", created_at=now) for n in range(20)]
    SavedView.objects.bulk_create(views)

    followed = listed_runs(Supply(PAYLOADS), 50)
    rows = [
        Notice(user=admin, run=one, event="stalled", occurrence="x", at=now, happened_at=now)
        for one in followed
    ]
    Notice.objects.bulk_create(rows)

    def told(supply: Supply) -> None:
        reword_runs(followed, supply)
        reword(rows, supply, told=2)

    def kept(supply: Supply) -> None:
        reword(views, supply, name=10)
        for view in views:
            view.query = urlencode({"q": supply.some(5, " ")})
        SavedView.objects.bulk_update(views, ["query"])

    def labelled(supply: Supply) -> None:
        labels = [*Label.objects.all()]
        reword(labels, supply, name=20)

    def asked(supply: Supply) -> str:
        asked = {name: _plain(supply.some(12, " ")) for name in ("agent", "model", "label")}
        return "?" + urlencode(asked | {"q": _plain(supply.one())})

    return [
        Place("mentions/", "/mentions/", lambda s: reword(notes, s, text=20)),
        Place("notices/", "/notices/", told),
        Place("runs/label/", "/runs/label/", labelled),
        Place("runs/views/", "/runs/views/", kept),
        Place("runs/views/new/", lambda s: f"/runs/views/new/{asked(s)}"),
        Place(
            f"{RUN}export/",
            f"/runs/{run.run_id}/export/",
            lambda s: reword(Run.objects.filter(pk=run.pk), s, 20),
        ),
        Place("runs/export/", lambda s: f"/runs/export/{asked(s)}"),
    ]


def _plain(text: str) -> str:
    return text.replace("\x00", "")


def of_the_site() -> list[Place]:
    polls = [make_poll_of(make_run("running", run_id=f"run_failing_{n}")) for n in range(20)]

    def errors(supply: Supply) -> None:
        reword(polls, supply, last_error=20)

    def typed(watch: Watch, supply: Supply) -> None:
        field = watch.page.locator("[name=run]")
        field.evaluate("field => field.removeAttribute('maxlength')")
        field.fill(_plain(supply.some(25, " ")))
        with watch.page.expect_navigation():
            watch.page.click("form[action='/runs/add/'] button")

    return [
        Place("status/", "/status/", errors),
        Place("runs/add/", "/runs/add/", act=typed),
    ]


def make_poll_of(run: Run) -> Poll:
    poll, _ = Poll.objects.update_or_create(
        run=run, defaults={"failures": 3, "last_error": "x", "last_error_at": timezone.now()}
    )
    return poll


# The administration ------------------------------------------------------------------------------


def test_no_text_acts_in_the_administration(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    User.objects.filter(pk=admin.pk).update(is_staff=True, is_superuser=True)
    supply = Supply(PAYLOADS)
    answer = details("run_record", supply)
    answer["steps"][60] = step_of_many(supply, extent(150, 400))
    run = stored(answer)
    surround(run, supply)
    share(run, admin)
    listed_runs(supply, 60)
    places = [*of_the_record(run), *of_accounts(admin)]
    with attacked(admin) as watch:
        for place in places:
            visit_until_enough(watch, place, supply)
    shown = {place.route: len(watch.places[place.route]) for place in places}
    report(loads=watch.loads, shown=shown, requests=len(watch.asked))
    assert_enough(watch, "the administration")


def of_the_record(run: Run) -> list[Place]:
    return [*lists_of_the_record(), *rows_of_the_record(run), *of_the_log(run)]


def lists_of_the_record() -> list[Place]:
    def rewritten(supply: Supply) -> None:
        reword(Run.objects.all(), supply, prompt=1)
        reword(Agent.objects.all(), supply, name=1)
        reword(Poll.objects.all(), supply, last_error=1)

    return [
        *(listing(model, 2) for model in (Step, UsageEntry, Agent)),
        listing(Run)._replace(fill=rewritten),
        listing(Poll, 10),
        listing(Answer, 250),
        listing(ShareLink, 250),
    ]


def listing(model: type[models.Model], count: int = 1) -> Place:
    """The list of a model's rows in the administration."""
    rows = [*model._base_manager.order_by("-pk")[:100]]
    where = f"{model._meta.app_label}/{model._meta.model_name}/"
    return Place(
        f"admin/{where}",
        reverse(f"admin:{where.strip('/').replace('/', '_')}_changelist"),
        lambda supply: reword(rows, supply, count),
    )


def rows_of_the_record(run: Run) -> list[Place]:
    step, entry = run.steps.get(position=61), run.entries.order_by("pk")[0]
    discovery, _ = Discovery.objects.get_or_create(pk=Discovery.SOLE)
    upstream, _ = Upstream.objects.get_or_create(pk=Upstream.SOLE)
    agent = Agent.objects.get(agent_id=run.agent_id)
    payload = Answer.objects.filter(run=run)[0]

    def answered(supply: Supply) -> None:
        body = packing.pack(supply.some(600).encode("utf-8", "replace"))
        Answer.objects.filter(pk=payload.pk).update(body=body, error=supply.some(100))

    return [
        *(row_page(row) for row in (run, step, entry, run.poll, agent, upstream)),
        row_page(run.revisions.order_by("pk")[0]),
        row_page(discovery),
        row_page(agent, "history", name=250),
        row_page(ShareLink.objects.get(run=run), purpose=250),
        row_page(payload)._replace(fill=answered),
    ]


def row_page(row: Any, page: str = "change", **only: int) -> Place:
    """A page of a row in the administration."""
    model = row._meta.model_name
    route = f"admin/{row._meta.app_label}/{model}/<path:object_id>/{page}/"
    path = reverse(f"admin:{row._meta.app_label}_{model}_{page}", args=[row.pk])
    return Place(route, path, lambda supply: reword([row], supply, 100, **only))


def of_the_log(run: Run) -> list[Place]:
    def entries(supply: Supply) -> str:
        row = long_entry(run, supply)
        return reverse("admin:dashboard_auditentry_change", args=[row.pk])

    return [
        Place(
            "admin/dashboard/auditentry/",
            reverse("admin:dashboard_auditentry_changelist"),
            lambda supply: looks(run, supply, 100),
        ),
        Place("admin/dashboard/auditentry/<path:object_id>/change/", entries),
    ]


def of_accounts(admin: User) -> list[Place]:
    users = [account(f"user{n}", "viewer") for n in range(20)]
    groups = [Group.objects.create(name=f"group{n}") for n in range(20)]
    row, group = users[0], groups[0]
    for one in (row, group):
        LogEntry.objects.bulk_create(
            LogEntry(
                user=admin,
                content_type=ContentType.objects.get_for_model(one),
                object_id=str(one.pk),
                object_repr="x",
                action_flag=CHANGE,
                change_message="x",
            )
            for _ in range(10)
        )
    history = [*LogEntry.objects.all()]

    def people(supply: Supply) -> None:
        reword(users[1:], supply, username=5, first_name=5, last_name=5)
        reword(users[:1], supply, username=250)

    def named(supply: Supply) -> None:
        reword(groups[1:], supply, name=10)
        reword(groups[:1], supply, name=250)

    def acted(supply: Supply) -> None:
        reword(history, supply, object_repr=20, change_message=20)

    at = "admin/auth/{}/<path:object_id>/{}/"
    found = [
        Place("admin/auth/user/", "/admin/auth/user/", people),
        Place("admin/auth/group/", "/admin/auth/group/", named),
        Place("admin/auth/user/<id>/password/", f"/admin/auth/user/{row.pk}/password/", people),
        Place("admin/", "/admin/", acted),
    ]
    for kind, one, fill in (("user", row, people), ("group", group, named)):
        for page in ("change", "delete", "history"):
            filling = acted if page == "history" else fill
            path = f"/admin/auth/{kind}/{one.pk}/{page}/"
            found.append(Place(at.format(kind, page), path, filling))
    return found


# The API -----------------------------------------------------------------------------------------


def test_an_answer_of_the_api_is_no_page_even_in_a_browser(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    """Nobody's browser sends a token; it is sent here to see what one would make of the answer."""
    supply = Supply(PAYLOADS)
    answer = details("run_told", supply)
    answer["steps"][60] = step_of_many(supply, extent(200, 700))
    run = stored(answer)
    runs = listed_runs(supply, 60)
    _, text = tokens.create(admin, "reader", 7)
    here, one = f"/api/runs/{run.run_id}", "api/runs/<run_id:run_id>"
    places = [
        Place("api/runs", "/api/runs?limit=60", lambda s: reword_runs(runs, s)),
        Place(one, here),
        Place(f"{one}/steps", f"{here}/steps?limit=100"),
        Place(f"{one}/entries", f"{here}/entries?limit=200"),
        Place(f"{one}/costs", f"{here}/costs"),
        Place(f"{one}/steps/<int:position>", f"{here}/steps/61"),
    ]
    with attacked() as watch:
        watch.context.set_extra_http_headers({"Authorization": f"Bearer {text}"})
        for place in places:
            visit_until_enough(watch, place, supply)
    report(shown={route: len(watch.places[route]) for route in SHOWN["the API"]})
    assert_enough(watch, "the API")
