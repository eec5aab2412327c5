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

from runs import notices
from runs.models import Run
from tests.attacks.corpus import corpus, htmx_attributes
from tests.attacks.extent import extent
from tests.attacks.furnish import addresses, listed_runs, mark_in, reword_runs
from tests.attacks.hostile import Supply, annotate, details, step_of_many, stored, surround
from tests.attacks.places import ENOUGH, RUN, SHARED, SHARED_STEP_LINK, assert_enough
from tests.attacks.watched import Watch
from tests.dashboard.links import share

pytestmark = [pytest.mark.same_on_either, pytest.mark.timeout(1_500)]

PAYLOADS = corpus()
RUNS = extent(1, 4)  # of each test: with four, each kind of page shows 500 payloads and more


def payloads_shown(watch: Watch) -> dict[str, int]:
    return {kind: len(found) for kind, found in watch.found.items()}


def hostile_runs(status: str = "failed") -> list[Run]:
    runs = []
    for number in range(RUNS):
        supply = Supply(PAYLOADS, number * len(PAYLOADS) // RUNS)
        answer = details(f"run_hostile_{number}", supply, status)
        answer["steps"][60] = step_of_many(supply, extent(150, 400))
        runs.append(stored(answer))
        surround(runs[-1], supply)
    return runs


def test_there_are_enough_payloads_and_no_two_are_alike() -> None:
    assert len({payload.text for payload in PAYLOADS}) == len(PAYLOADS) >= 500
    assert len(set(htmx_attributes())) >= 200


def test_no_text_of_a_run_acts_on_its_pages(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    with attacked(admin) as watch:
        runs = hostile_runs()
        for number, run in enumerate(runs):
            annotate(run, admin, Supply(PAYLOADS, number * 200))
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
            watch.visit("read whole", f"{here}read/whole/")
            watch.visit("notes", f"{here}notes/")
            watch.visit("compare", f"/compare/?a={run.run_id}&b={runs[0].run_id}")
            watch.visit("raw", f"{here}raw/")
            watch.visit(
                "filtered", f"{here}?type=tool_call&tool=%22%3E%3Cimg%20src=x%20onerror=1%3E"
            )
    report(loads=watch.loads, shown=payloads_shown(watch), requests=len(watch.asked))
    assert_enough(watch, "a run")


def test_no_text_of_a_run_acts_in_lists_and_searches(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    supply = Supply(PAYLOADS)
    runs = listed_runs(supply, 100)
    with attacked(admin) as watch:
        while len(watch.places[""]) < ENOUGH and watch.loads < 60:
            reword_runs(runs, supply)
            watch.visit("overview", "/")
            if len(watch.places["runs/"]) < ENOUGH:
                for query in ("", "?sort=cost", "?status=failed", "?q=kanarie")[: extent(1, 4)]:
                    watch.visit("list", f"/runs/{query}")
        rows = watch.page.locator("a[rel=next]")
        if rows.count():
            watch.visit("list", "/runs/" + (rows.first.get_attribute("href") or ""))
        for payload in PAYLOADS[:: extent(200, 20)]:
            asked = {"q": payload.text, "agent": payload.text, "model": payload.text}
            watch.page.goto(f"{watch.base}/runs/?{_encoded(asked)}")
            watch.look("search")
    report(loads=watch.loads, shown=payloads_shown(watch), requests=len(watch.asked))
    assert_enough(watch, "lists")


def _encoded(query: dict[str, str]) -> str:
    return urlencode({name: value.replace("\x00", "") for name, value in query.items()})


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
        led = stored(details("run_led", Supply(PAYLOADS), steps=1))
        guest.visit("shared", f"/s/{share(led, admin)}/")
        base, supply = guest.page.url.removeprefix(guest.base), Supply(PAYLOADS)
        while len(guest.places[SHARED_STEP_LINK]) < ENOUGH and guest.loads < 200:
            text = addresses(supply)
            Run.objects.filter(pk=led.pk).update(output=text)
            led.steps.update(content=text)
            guest.visit("shared leaving", f"{base}result/links/1/")
            guest.visit("shared leaving", f"{base}steps/1/links/{mark_in(text)}/")
    with attacked(admin) as watch:
        for run in runs:
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
    guest.places |= watch.places
    shown = payloads_shown(guest) | payloads_shown(watch)
    report(loads=guest.loads + watch.loads, shown=shown, requests=len(guest.asked + watch.asked))
    assert_enough(guest, "shared")


def test_no_text_that_a_stream_brings_acts(
    attacked: Callable[..., Any], admin: User, report: Callable[..., None]
) -> None:
    calm = {"id": "run_calm", "status": "running", "startedAt": "2026-11-07T05:31:05Z"}
    run = stored(calm | {"steps": []})
    beside = [stored(calm | {"id": f"run_beside_{number}"}) for number in range(45)]
    token, of_rows = share(run, admin), Supply(PAYLOADS)
    with attacked(admin) as watch:
        others = {"list": watch.context.new_page(), "guest": watch.context.new_page()}
        watch.page.goto(f"{watch.base}/runs/run_calm/")
        others["list"].goto(f"{watch.base}/runs/")
        others["guest"].goto(f"{watch.base}/s/{token}/")
        pages = {"timeline": watch.page, **others}
        for page in pages.values():
            page.wait_for_selector("html[data-stream=live]", timeout=60_000)
        for number in range(extent(2, 8)):
            supply = Supply(PAYLOADS, number * 160)
            _tell([(run, details("run_calm", supply, "running", steps=100))])
            _tell([(one, calm | _of_a_row(one, of_rows)) for one in beside])
            for kind, page in pages.items():
                for one in [run, *(beside if kind == "list" else ())]:
                    mark = f"[data-version='{one.version}']"
                    last = f"tr#run-{one.pk}{mark}, #run-head{mark}, main li{mark}"
                    page.wait_for_selector(last, timeout=60_000, state="attached")
                watch.page = page
                watch.look(f"stream of {kind}", brought_by=STREAMS[kind])
    report(shown=payloads_shown(watch), requests=len(watch.asked))
    assert_enough(watch, "streams")


STREAMS = {"timeline": f"{RUN}live/", "list": "runs/live/", "guest": f"{SHARED}live/"}


def _of_a_row(run: Run, supply: Supply) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "steps": [],
        "prompt": supply.one(),
        "model": supply.one(),
        "agentId": supply.one(),
        "result": {"finalResponse": {"summary": supply.one(), "issues": [supply.one()]}},
    }


def _tell(answers: list[tuple[Run, dict[str, Any]]]) -> None:
    for run, answer in answers:
        stored(answer)
        run.refresh_from_db()
    notices.publish([notices.Notice(run.pk, run.version) for run, _ in answers])


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
