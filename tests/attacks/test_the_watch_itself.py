"""What watches the other attacks sees what it has to: text that acts, on a page without care."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route

from dashboard import violations
from tests.attacks.conftest import sign_in
from tests.attacks.corpus import AWAY, HIT, corpus
from tests.attacks.extent import extent
from tests.attacks.watched import Watch
from tests.dashboard.links import full_run
from tests.factories import make_steps

pytestmark = [pytest.mark.same_on_either]


def shown_raw(page: Page, base: str, body: str, head: str = "") -> None:
    """`body` as a page of the site that escapes nothing and has no policy."""

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body=f"<html><head>{head}</head>{body}</html>")

    page.route(f"{base}/careless/", answer)
    page.goto(f"{base}/careless/")


def test_a_script_an_attribute_and_a_request_are_noticed(wall: Any, site: str) -> None:
    with wall() as (browser, sink):
        watch = Watch(browser.new_context(), site)
        shown_raw(
            watch.page,
            site,
            f'kanarie0001x<img src=x onerror="{HIT}"><script>alert(1)</script>'
            f"<link rel=preconnect href={AWAY}><p style='color:red'>",
        )
        watch.page.wait_for_function("() => window.__hit")
        watch.look("careless")
        told = "\n".join(watch.wrongs)
    assert "1 scripts ran" in told
    assert "dialog: 1" in told
    assert "img onerror=" in told
    assert "p style=" in told
    assert "asked http://sink.example/hit" in told
    assert watch.found["careless"] == {"kanarie0001x"}
    assert sink.contacts
    assert "sink.example" in sink.named()


def test_a_policy_that_stops_something_is_noticed(wall: Any, site: str) -> None:
    with wall() as (browser, _):
        watch = Watch(browser.new_context(), site)
        policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
        shown_raw(watch.page, site, f"<img src={AWAY}>", policy)
        watch.look("careless")
    assert any("img-src http://sink.example/away" in wrong for wrong in watch.wrongs)


def test_what_the_policy_stops_is_reported_to_the_site(wall: Any, site: str, viewer: User) -> None:
    with wall() as (browser, _):
        context = browser.new_context()
        sign_in(context, viewer)
        page = context.new_page()
        page.goto(f"{site}/runs/?q=privileged")
        with page.expect_response("**/csp-reports/") as heard:
            page.evaluate(f"() => {{ new Image().src = '{AWAY}' }}")
        assert heard.value.status == 204
    assert violations.told().lately == [(violations.Violation("img-src", "elsewhere", "runs"), 1)]


def test_most_payloads_act_where_nothing_is_escaped(
    wall: Any, site: str, report: Callable[..., None]
) -> None:
    """Or the corpus would prove little. Elements and styles, each on a page of its own frame."""
    acting = [p for p in corpus() if p.family in ("element", "style", "break-out")]
    acting = acting[:: extent(5, 1)]
    acted = []
    with wall() as (browser, _):
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: dialog.dismiss())
        shown_raw(page, site, "<main></main>")
        for payload in acting:
            before = len(asked)
            page.evaluate(
                """([text]) => new Promise((done) => {
                    const frame = document.createElement("iframe");
                    frame.srcdoc = text;
                    frame.onload = () => setTimeout(done, 10);
                    document.body.replaceChildren(frame);
                    setTimeout(done, 300);
                })""",
                [payload.text],
            )
            if len(asked) > before:
                acted.append(payload.number)
    report(payloads=len(acting), acted=len(acted))
    assert len(acted) >= len(acting) // 2, len(acted)


def test_htmx_acts_on_attributes_where_nothing_is_escaped(wall: Any, site: str) -> None:
    with wall() as (browser, _):
        watch = Watch(browser.new_context(), site)
        watch.page.goto(f"{site}/accounts/login/")
        script = watch.page.get_attribute("script[src*='htmx-2']", "src")
        head = f"<script src='{script}'></script>"
        with watch.page.expect_request("**/stolen/"):
            shown_raw(watch.page, site, "<b hx-get=/stolen/ hx-trigger=load>x</b>", head)
    assert any(wrong.startswith(f"asked {site}/stolen/") for wrong in watch.wrongs)


# Class of a region -> the page of a run that has one.
REGIONS = {"payload": "logs/", "markdown": "result/", "prose": "", "notes": ""}


def test_htmx_is_kept_out_of_regions_of_untrusted_text(wall: Any, site: str, viewer: User) -> None:
    """Even an attribute that came through would do nothing there; elsewhere it does."""
    run = full_run(prompt="asked " * 100, guidance="so")
    make_steps(run, 1, type="thinking", content="thought")
    with wall() as (browser, _):
        context = browser.new_context()
        sign_in(context, viewer)
        watch = Watch(context, site)
        for region, tab in REGIONS.items():
            watch.page.goto(f"{site}/runs/{run.run_id}/{tab}")
            inject(watch.page, f".{region}")
        watch.page.wait_for_timeout(300)
        assert watch.wrongs == []
        with watch.page.expect_request("**/stolen/"):
            inject(watch.page, "main")


def inject(page: Page, where: str) -> None:
    page.evaluate(
        """(where) => {
            const bold = document.createElement("b");
            bold.setAttribute("hx-get", "/stolen/");
            bold.setAttribute("hx-trigger", "load");
            const place = document.querySelector(where);
            place.append(bold);
            htmx.process(place);
        }""",
        where,
    )


SINKS = {
    "the address of a script": "document.createElement('script').src = '/static/x.js'",
    "the text of a script": "document.createElement('script').text = '1'",
    "a timer": "setTimeout('1', 0)",
    "a document in a frame": "document.createElement('iframe').srcdoc = '<b>'",
    "another policy": "trustedTypes.createPolicy('other', {})",
    "html": "document.createElement('p').innerHTML = '<b>x</b>'",
}


def test_text_becomes_html_for_htmx_and_never_a_script(wall: Any, site: str, admin: User) -> None:
    with wall() as (browser, _):
        context = browser.new_context()
        sign_in(context, admin)
        page = context.new_page()
        for path in ("/runs/", "/accounts/login/", "/admin/"):
            page.goto(f"{site}{path}")
            taken = {
                name: page.evaluate(
                    f"() => {{ try {{ {act}; return true }} catch {{ return false }} }}"
                )
                for name, act in SINKS.items()
            }
            assert [name for name, is_taken in taken.items() if is_taken] == PERMITTED, path


# A frame's document is HTML too, which the policy of contents lets nobody show.
PERMITTED = ["a document in a frame", "html"]
