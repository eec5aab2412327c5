"""Every page in every state: what tests of the whole site walk through.

Each route of the URLconf is a page by itself, so that a new one is walked without being named
here; the states of its regions (empty, failed, stale, refused, ...) are named below.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page

from dashboard import filters, sharing
from dashboard.notes import flows as notes
from dashboard.notices import choices, follows, sealed
from dashboard.notices.models import Delivery, Event, Message, Notice
from dashboard.saved.columns import COLUMNS
from runs.models import Run, Upstream
from tests.dashboard.links import full_run, link_of, share
from tests.dashboard.world import World, routes
from tests.factories import make_agent, make_entries, make_run, make_runs, make_steps

type Act = Callable[[Page], Any]


class State(NamedTuple):
    """A page of the site. `who`: the role that asks for it, a key of World.clients."""

    page: str
    state: str
    who: str
    address: str
    act: Act | None = None


def empty(_: World) -> list[State]:
    """Before the first run."""
    Run.objects.all().delete()
    return [State(page, "empty", "admin", page) for page in ("/", "/runs/", "/share-links/")]


def refused(_: World) -> list[State]:
    Upstream.objects.update_or_create(
        pk=Upstream.SOLE, defaults={"state": "refused", "last_error": "401 no such key"}
    )
    return [
        State("/", "key refused", "admin", "/"),
        State("/runs/<run_id>/", "key refused", "admin", "/runs/run_a/"),
    ]


def every_route(world: World) -> Iterator[State]:
    """What answers with a page, for staff and for whoever holds a link."""
    Upstream.objects.filter(pk=Upstream.SOLE).update(state="up", last_error="")
    for route in routes():
        if route.startswith(("/admin/", "/^s/")) or "logout" in route or "live" in route:
            continue
        for who in ("link A",) if route.startswith("/s/-/") else ("admin", "stranger"):
            address = world.address(route, who)
            answer = world.clients[who].get(address, headers={"accept": "text/html"})
            # No file, no stream, no piece of a page.
            is_page = not answer.streaming and answer.content[:15].lower() == b"<!doctype html>"
            if answer.status_code in (200, 403) and is_page:
                yield State(_short(route), "full", who, address)
                break  # what strangers see of it is the same page


def of_runs(_: World) -> list[State]:
    """Pages of runs that are under way, odd, failed, not read yet; and of lists that are long."""
    _make_runs()
    opened = "#s2 summary"
    return [
        State("/", "full", "admin", "/"),
        State("/runs/", "long", "admin", "/runs/"),
        State("/runs/", "none matches", "admin", "/runs/?q=nowhere+to+be+found"),
        State("/runs/", "wrong date", "admin", "/runs/?from=soon"),
        State("/runs/", "every column", "admin", f"/runs/?columns={','.join(COLUMNS)}"),
        State("/runs/", "filtered", "admin", "/runs/?status=failed&from=7d&agent=agent_review"),
        State("/runs/<run_id>/", "running", "admin", "/runs/run_live/"),
        State("/runs/<run_id>/", "step open", "admin", "/runs/run_live/", _open(opened)),
        State("/runs/<run_id>/", "more ways, labels", "admin", "/runs/run_live/", _more_ways),
        State("/runs/<run_id>/notes/", "of a step", "admin", "/runs/run_live/notes/?step=2"),
        State("/runs/<run_id>/", "keys shown", "admin", "/runs/run_live/", _press("?")),
        State("/runs/<run_id>/", "paused", "admin", "/runs/run_live/", _press("w")),
        State("/runs/<run_id>/", "queued", "admin", "/runs/run_queued/"),
        State("/runs/<run_id>/", "failed", "admin", "/runs/run_failed/"),
        State("/runs/<run_id>/", "stale", "admin", "/runs/run_stale/"),
        State("/runs/<run_id>/", "not read yet", "admin", "/runs/run_listed/"),
        State("/runs/<run_id>/", "none matches", "admin", "/runs/run_live/?tool=none"),
        State("/runs/<run_id>/cost/", "not reported", "admin", "/runs/run_queued/cost/"),
        State("/runs/<run_id>/cost/", "does not add up", "admin", "/runs/run_failed/cost/"),
        State("/runs/<run_id>/result/", "empty", "admin", "/runs/run_queued/result/"),
        State("/runs/<run_id>/logs/", "empty", "admin", "/runs/run_queued/logs/"),
        State("/runs/<run_id>/", "unknown", "admin", "/runs/run_nowhere/"),
        State("/runs/add/", "refused", "admin", "/runs/add/", _send("Add")),
        State("/runs/<run_id>/share/", "refused", "admin", "/runs/run_a/share/", _send("Create")),
        State("/share-links/", "none matches", "admin", "/share-links/?state=expired&run=x"),
        State("/accounts/login/", "refused", "stranger", "/accounts/login/", _log_in_wrongly),
        State("/nowhere/", "unknown", "admin", "/nowhere/"),
    ]


def of_notices(world: World) -> list[State]:
    """What one was told: sent, tried in vain, given up, waiting; and forms that are refused."""
    person, now = User.objects.get(username="ada"), timezone.now()
    run = Run.objects.get(run_id="run_failed")
    outcomes: list[dict[str, Any]] = [
        {"sent_at": now},
        {"due_at": now, "reason": "The mail server did not answer in time."},
        {"given_up_at": now, "reason": "The webhook answered 404."},
    ]
    for number, event in enumerate(Event):
        notice = Notice.objects.create(
            user=person, run=run, event=event, occurrence=str(number), at=now, happened_at=now,
            status="failed", limit_micros=5, told="no new step for 12 min",
        )  # fmt: skip
        message = None
        if number < len(outcomes):
            about = {"user": person, "channel": "email", "kind": "single", "made_at": now}
            message = Message.objects.create(**about, **outcomes[number])
        Delivery.objects.create(notice=notice, channel="email", message=message)
    follows.follow(run, person)
    choice = choices.of(person)
    choice.webhook = sealed.seal("https://hooks.example.com/services/T0/B0/x7Qz")
    choices.keep(choice, person)
    batch, _ = follows.follow_all(filters.Asked(), person)
    return [
        State("/notices/", "each outcome", "admin", "/notices/"),
        State("/notices/settings/", "with a webhook", "admin", "/notices/settings/"),
        State("/notices/rules/", "refused", "admin", "/notices/rules/", _wrong_limit),
        State("/runs/<run_id>/", "followed", "admin", "/runs/run_failed/"),
        State("/runs/follow/", "followed", "admin", "/runs/follow/"),
        State("/runs/follow/<batch>/", "done", "admin", f"/runs/follow/{batch}/"),
    ]


def of_links(world: World) -> list[State]:
    """What somebody meets who was given a link."""
    maker = world.run.share_links.get().created_by
    asks = share(full_run(run_id="run_asks"), maker, passphrase="four words are enough")
    live = share(Run.objects.get(run_id="run_live"), maker)
    revoked = share(full_run(run_id="run_gone"), maker)
    sharing.revoke(link_of(revoked), maker)
    return [
        State("/s/<token>/", "asks", "stranger", f"/s/{asks}/"),
        State("/s/<token>/", "asks, refused", "stranger", f"/s/{asks}/", _send("Open")),
        State("/s/<token>/", "running", "stranger", f"/s/{live}/"),
        State("/s/<token>/", "gone", "stranger", f"/s/{revoked}/"),
        State("/share-links/", "long", "admin", "/share-links/"),
    ]


def all_states(world: World) -> Iterator[State]:
    """In an order in which each finds the rows that it is about. `world` is left changed."""
    yield from every_route(world)
    yield from refused(world)
    Upstream.objects.update(state="up", last_error="")
    yield from of_runs(world)
    yield from of_notices(world)
    yield from of_links(world)
    yield from empty(world)


def contexts(world: World, browser: Browser) -> dict[str, BrowserContext]:
    """A browser's context for each role, signed in as its client is."""
    made = {}
    for who in ("stranger", "admin", "link A"):
        context = made[who] = browser.new_context(reduced_motion="reduce")
        context.add_cookies(
            [
                {"name": each.key, "value": each.value, "domain": "127.0.0.1", "path": each["path"]}
                for each in world.clients[who].cookies.values()
                if each.value
            ]
        )
    return made


def signed_in_page(browser: Browser, client: Client, **options: Any) -> Page:
    """A page of a context of its own, which the caller closes."""
    context = browser.new_context(**options)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    return context.new_page()


def _make_runs() -> None:
    now = timezone.now()
    make_agent("agent_other", "Legal Researcher with quite a long name")
    live = make_run("running", run_id="run_live", prompt="Compile a privilege log. " * 20)
    make_steps(live, 40)
    make_entries(live, 3)
    notes.put(live, "Key finding", User.objects.get(username="ada"), 2)
    make_run("queued", run_id="run_queued", created_at=now - dt.timedelta(hours=3))
    failed = make_run("failed", run_id="run_failed", failure_cause="It was out of memory.")
    make_steps(failed, 5, tool_output="Error: no such file\nexit code 1")
    make_entries(failed, 2)
    make_run("paused", run_id="run_stale", poll_quarantined_at=now, poll_last_error="It is no JSON")
    make_run("running", run_id="run_listed", poll_last_ok_at=None, step_count=0, prompt_is_cut=True)
    make_runs(60, status="completed", agent_id="agent_other")


def _short(route: str) -> str:
    return route.replace("run_id:", "").replace("int:", "").replace("str:", "").replace("slug:", "")


def _open(selector: str) -> Act:
    def act(page: Page) -> None:
        page.locator(selector).first.click()
        page.locator(f"{selector.split()[0]} .io").wait_for()

    return act


def _more_ways(page: Page) -> None:
    page.locator("main details.menu > summary").click()


def _press(key: str) -> Act:
    return lambda page: page.keyboard.press(key)


def _send(name: str) -> Act:
    def act(page: Page) -> None:
        with page.expect_navigation():
            page.locator("main").get_by_role("button", name=name).first.click()

    return act


def _wrong_limit(page: Page) -> None:
    page.fill("[name=limit]", "free")
    _send("Keep")(page)


def _log_in_wrongly(page: Page) -> None:
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", "wrong")
    _send("Log in")(page)
