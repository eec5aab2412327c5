"""Hostile text in every field of a run, on every page, in a browser that is watched.

Each payload stands between two canaries, and each kind of page has to show so many different
ones, or the test would pass by showing none. Then nothing has run, nothing was stopped by the
policy (it should not have come so far), no attribute or element came of a text, and nobody but
the site was asked for anything.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from dashboard.audit.models import AuditEntry
from dashboard.models import ShareLink, ShareView
from runs import notices
from runs.models import Payload as Answer
from runs.models import Run
from tests.attacks.corpus import corpus, htmx_attributes
from tests.attacks.extent import extent
from tests.attacks.hostile import Supply, annotate, details, listed, step_of_many, stored, surround
from tests.attacks.watched import Watch
from tests.dashboard.links import share

pytestmark = [pytest.mark.same_on_either, pytest.mark.timeout(1_500)]

PAYLOADS = corpus()
RUNS = extent(1, 4)  # of each test: with four, each kind of page shows 500 payloads and more
ENOUGH = extent(100, 500)


def payloads_shown(watch: Watch) -> dict[str, int]:
    return {kind: len(found) for kind, found in watch.found.items()}


def hostile_runs(status: str = "failed") -> list[Run]:
    runs = []
    for number in range(RUNS):
        supply = Supply(PAYLOADS, number * len(PAYLOADS) // RUNS)
        answer = details(f"run_hostile_{number}", supply, status)
        answer["steps"][60] = step_of_many(supply, 400)
        runs.append(stored(answer))
        surround(runs[-1], supply)
    return runs


def assert_enough(watch: Watch, few: dict[str, int]) -> None:
    """`few`: kinds of pages that have no room for ENOUGH, and how many they must show."""
    shown = payloads_shown(watch)
    lacking = {kind: n for kind, n in shown.items() if n < min(few.get(kind, ENOUGH), ENOUGH)}
    assert lacking == {}, shown


# Kinds of pages of a run that have no room for ENOUGH, and how many each must show.
FEW = {"a step": 20, "filtered": 20, "raw": 0, "notes": 30, "export": 0, "compare": 1}


def test_there_are_enough_payloads_and_no_two_are_alike() -> None:
    assert len({payload.text for payload in PAYLOADS}) == len(PAYLOADS) >= 500
    assert len(set(htmx_attributes())) >= 200


def test_no_text_of_a_run_acts_on_its_pages(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    with attacked(admin) as watch:
        for run in hostile_runs():
            annotate(run, admin, Supply(PAYLOADS))
            here = f"/runs/{run.run_id}/"
            watch.visit("timeline", here)
            watch.page.evaluate(
                "() => document.querySelectorAll('details').forEach(d => d.open = true)"
            )
            for step in watch.page.locator("#steps a[href*='steps/']").all()[:3]:
                step.hover()
            watch.look("timeline, opened")
            for tab in ("cost/", "result/", "result/?as=text", "logs/", "steps/61/"):
                watch.visit(tab, here + tab)
            for position in (2, 3, 4, 5):
                watch.visit("a step", f"{here}steps/{position}/")
            watch.visit("read", f"{here}read/")
            watch.visit("notes", f"{here}notes/")
            watch.visit("export", f"{here}export/")
            watch.visit("compare", f"/compare/?a={run.run_id}&b={run.run_id}")
            watch.visit("raw", f"{here}raw/")
            watch.visit(
                "filtered", f"{here}?type=tool_call&tool=%22%3E%3Cimg%20src=x%20onerror=1%3E"
            )
    report(loads=watch.loads, shown=payloads_shown(watch), requests=len(watch.asked))
    assert_enough(watch, FEW)


def test_no_text_of_a_run_acts_in_lists_and_searches(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    supply = Supply(PAYLOADS)
    with attacked(admin) as watch:
        for number in range(extent(1, 5)):
            Run.objects.all().delete()
            found = list(listed(supply, extent(50, 100)))
            for query in ("", "?sort=cost", "?status=failed", "?q=kanarie")[: extent(2, 4)]:
                watch.visit("list", f"/runs/{query}")
            rows = watch.page.locator("a[rel=next]")
            if rows.count():
                watch.visit("list", "/runs/" + (rows.first.get_attribute("href") or ""))
            watch.visit("overview", "/")
            for payload in PAYLOADS[number :: extent(200, 90)]:
                asked = {"q": payload.text, "agent": payload.text, "model": payload.text}
                watch.page.goto(f"{watch.base}/runs/?{_encoded(asked)}")
                watch.look("search")
            assert found
    report(loads=watch.loads, shown=payloads_shown(watch), requests=len(watch.asked))
    assert_enough(watch, {"overview": extent(20, 60), "search": 0})


def _encoded(query: dict[str, str]) -> str:
    return urlencode({name: value.replace("\x00", "") for name, value in query.items()})


def test_no_text_of_a_run_acts_in_the_administration(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    with attacked(admin) as watch:
        for run in hostile_runs():
            link = ShareLink.objects.get(pk=_shared(run, admin, Supply(PAYLOADS)))
            for model, key in (
                ("runs_run", run.pk),
                ("runs_step", run.steps.get(position=61).pk),
                ("runs_usageentry", run.entries.order_by("pk").first().pk),  # type: ignore[union-attr]
                ("runs_poll", run.poll.pk),
                ("runs_revision", run.revisions.order_by("pk").first().pk),  # type: ignore[union-attr]
                ("dashboard_sharelink", link.pk),
                ("dashboard_auditentry", AuditEntry.objects.latest("number").pk),
            ):
                watch.visit(model, reverse(f"admin:{model}_changelist"))
                watch.visit(f"{model}, one", reverse(f"admin:{model}_change", args=[key]))
            watch.visit("runs_agent", reverse("admin:runs_agent_changelist"))
            if answer := Answer.objects.filter(run=run).first():
                watch.visit("payload", reverse("admin:runs_payload_change", args=[answer.pk]))
            watch.visit(
                "sought", f"{reverse('admin:runs_run_changelist')}?q=%22%3E%3Cimg+src%3Dx%3E"
            )
    shown = payloads_shown(watch)
    report(loads=watch.loads, shown=shown, requests=len(watch.asked))
    for kind in ("runs_run, one", "runs_step, one", "runs_step", "runs_usageentry"):
        assert shown[kind] >= extent(30, 80), shown


def _shared(run: Run, by: User, supply: Supply, **chosen: Any) -> int:
    """A link whose own texts are payloads, seen by browsers that call themselves so."""
    share(run, by, **chosen)
    link = ShareLink.objects.latest("pk")
    link.purpose, link.recipient = supply.one()[:200], supply.one()[:200]
    link.save()
    for number in range(100):
        now = run.first_seen_at
        ShareView.objects.create(
            link=link, at=now, page="timeline", agent=supply.one()[:200], is_robot=number % 4 == 0
        )
    return link.pk


def test_no_text_acts_for_a_recipient_or_for_whoever_shares(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    tokens = []
    runs = hostile_runs()
    for run in runs:
        tokens += [share(run, admin), share(run, admin, is_frozen=True)]
    agent = PAYLOADS[5].text.replace("\n", " ")
    with attacked(agent=f"Mozilla {PAYLOADS[5].canary} {agent}") as guest:
        for token in tokens:
            guest.visit("shared", f"/s/{token}/")
            base = guest.page.url.removeprefix(guest.base)
            guest.visit("shared read/", f"{base}read/")
            for tab in ("cost/", "result/", "result/?as=text", "logs/", "steps/61/", "steps/4/"):
                guest.visit(f"shared {tab}", base + tab)
    with attacked(admin) as watch:
        for run in runs:
            _shared(run, admin, Supply(PAYLOADS))
            parts = "&".join(
                f"shows={part}"
                for part in ("request", "timeline", "io", "cost", "output", "logs", "ids")
            )
            watch.visit("share form", f"/runs/{run.run_id}/share/?{parts}")
            for part in watch.page.locator("[name=shows]").all():
                part.check()
            watch.page.click("button[name=preview]")
            watch.page.wait_for_load_state("load")
            watch.look("preview")
            watch.visit("seen", f"/runs/{run.run_id}/seen/")
            link = ShareLink.objects.filter(run=run).latest("pk")
            watch.visit("views of a link", f"/share-links/{link.pk}/")
            watch.visit("revoke", f"/share-links/{link.pk}/revoke/")
        watch.visit("links", "/share-links/")
        watch.visit("log", reverse("admin:dashboard_auditentry_changelist"))
    shown = payloads_shown(guest) | payloads_shown(watch)
    report(loads=guest.loads + watch.loads, shown=shown, requests=len(guest.asked + watch.asked))
    for kind in ("shared", "shared cost/", "shared result/", "shared logs/", "preview"):
        assert shown[kind] >= ENOUGH, shown
    assert shown["views of a link"] >= 50


def test_no_text_that_a_stream_brings_acts(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    calm = {"id": "run_calm", "status": "running", "startedAt": "2026-11-07T05:31:05Z"}
    run = stored(calm | {"steps": []})
    token = share(run, admin)
    brought: dict[str, int] = {}
    with attacked(admin) as watch:
        others = {"list": watch.context.new_page(), "guest": watch.context.new_page()}
        watch.page.goto(f"{watch.base}/runs/run_calm/")
        others["list"].goto(f"{watch.base}/runs/")
        others["guest"].goto(f"{watch.base}/s/{token}/")
        pages = {"timeline": watch.page, **others}
        for page in pages.values():
            page.wait_for_selector("html[data-stream=live]", timeout=60_000)
        for number in range(extent(1, 5)):
            supply = Supply(PAYLOADS, number * 160)
            answer = details("run_calm", supply, "running", steps=100)
            _tell(run, answer, notices)
            mark = f"[data-version='{run.version}']"
            last = f"tr[id^='run-']{mark}, #run-head{mark}, main li{mark}"
            for kind, page in pages.items():
                page.wait_for_selector(last, timeout=60_000, state="attached")
                watch.page = page
                watch.look(f"stream of {kind}")
    brought = payloads_shown(watch)
    report(shown=brought, requests=len(watch.asked))
    assert brought["stream of timeline"] >= ENOUGH
    assert brought["stream of guest"] >= ENOUGH
    assert brought["stream of list"] >= 1


def _tell(run: Run, answer: dict[str, Any], told: Any) -> None:
    stored(answer)
    run.refresh_from_db()
    told.publish([told.Notice(run.pk, run.version)])


def test_no_injected_attribute_makes_htmx_ask_for_anything(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    """The payloads of htmx alone, each in an own step and entry, and time for htmx to act."""
    ours = [payload for payload in PAYLOADS if payload.family == "htmx"]
    supply = Supply(ours)
    steps = [
        {"type": "output" if n % 2 else "thinking", "content": supply.one(), "id": supply.one()}
        for n in range(100)
    ]
    run = stored(details("run_htmx", supply) | {"steps": steps})
    with attacked(admin) as watch:
        for tab in ("", "cost/", "result/", "logs/", "steps/1/"):
            watch.visit("htmx", f"/runs/{run.run_id}/{tab}")
            watch.page.evaluate(
                "() => { htmx.process(document.body); scrollTo(0, document.body.scrollHeight);"
                " return new Promise((done) => setTimeout(done, 300)); }"
            )
            watch.look("htmx")
    report(variants=len(ours), shown=payloads_shown(watch), requests=len(watch.asked))
    assert len(watch.found["htmx"]) >= len(ours) >= 200
