"""Live pages behind a connection that fails, in a real browser."""

import contextlib
import re

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Error, Page, Request, Route, expect

from runs.models import Poll
from tests.browser.test_live_pages import change, wait_for
from tests.dashboard.links import share
from tests.factories import make_run, make_steps
from tests.siteserver import SiteServer


@pytest.fixture
def reader(page: Page, viewer_client: Client) -> Page:
    """A signed-in page, which may complain: each test here breaks something."""
    cookie = viewer_client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    return page


def refuse_streams(reader: Page, polls: list[Route] | None = None) -> None:
    """What a proxy does that lets none through; `polls` are held back if it is given."""

    def answer(route: Route) -> None:
        if "text/event-stream" in route.request.headers.get("accept", ""):
            route.abort()
        elif polls is not None:
            polls.append(route)
        else:
            route.continue_()

    reader.route("**/live/**", answer)


def test_a_result_that_was_on_its_way_when_the_server_went_comes_when_it_is_back(
    reader: Page, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("running", run_id="run_live", step_count=0)
    with SiteServer() as server:
        with monkeypatch.context() as patch:
            patch.setattr("dashboard.live.streams.LATER", 60)
            reader.goto(f"{server.url}/runs/{run.run_id}/result/")
            expect(reader.locator("#stream-state")).to_have_text("live")
            change(run, status="completed", output="# The end")
            expect(reader.locator("#run-head .status")).to_have_text("completed")
            server.stop()
        expect(reader.locator("#run-result")).not_to_contain_text("The end")
        Poll.objects.filter(run=run).update(due_at=None)
        server.start()
        expect(reader.locator("#stream-state")).to_have_text("", timeout=30_000)
        expect(reader.locator("#run-result")).to_contain_text("The end")


def test_a_polling_overview_asks_for_what_came_after_it_was_refreshed(
    reader: Page, site: str
) -> None:
    make_run("running", prompt="first")
    refuse_streams(reader)
    reader.goto(f"{site}/")
    expect(reader.locator("#stream-state")).to_contain_text("asking every 5 s", timeout=20_000)
    asked = re.compile(rf"/runs/live/.*seen={make_run('queued', prompt='second').pk}\b")
    with reader.expect_response(asked, timeout=30_000) as told:
        pass  # what came is told to the poll before, and refreshes the page
    assert "new run" not in told.value.text()
    expect(reader.locator("#arrivals")).to_be_empty()


def test_a_poll_that_a_stream_overtakes_changes_nothing_and_is_the_last(
    reader: Page, site: str
) -> None:
    run = make_run("running", run_id="run_live", step_count=0)
    reader.clock.install()
    polls: list[Route] = []
    refuse_streams(reader, polls)
    reader.goto(f"{site}/runs/{run.run_id}/result/")
    reader.evaluate(
        """() => {
            [window.asked, window.ended] = [0, 0];
            document.addEventListener("htmx:beforeRequest", () => { asked += 1; });
            document.addEventListener("htmx:afterRequest", () => { ended += 1; });
        }"""
    )
    expect(reader.locator("#stream-state")).to_contain_text("asking every 5 s", timeout=20_000)
    wait_for(reader, polls, 1)
    early = polls[0].fetch()
    reader.unroute("**/live/**")
    reader.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it is looked at
    expect(reader.locator("#stream-state")).to_have_text("live")
    change(run, status="completed")
    expect(reader.locator("#run-head .status")).to_have_text("completed")
    with contextlib.suppress(Error):  # nobody waits for it any more
        polls[0].fulfill(response=early)
    reader.wait_for_function("ended === 1")
    assert reader.title().startswith("✓ ")
    reader.clock.fast_forward(6_000)
    assert reader.evaluate("asked") == 1


@pytest.mark.parametrize("address", ["runs/run_a/", "runs/run_a/read/", "shared/", "shared/read/"])
def test_what_could_not_be_opened_is_asked_for_again_when_it_is_opened_again(
    reader: Page, site: str, member: User, address: str
) -> None:
    run = make_run("completed", run_id="run_a")
    make_steps(run, 2, type="tool_call")
    if address.startswith("shared"):
        reader.goto(f"{site}/s/{share(run, member)}/")
        reader.goto(f"{reader.url}{address.removeprefix('shared/')}")
    else:
        reader.goto(f"{site}/{address}")
    asked: list[Request] = []
    reader.on("request", lambda it: asked.append(it) if "/steps/2/" in it.url else None)
    reader.route("**/steps/2/", lambda route: route.abort())
    summary = reader.locator("#s2 summary").first
    summary.click()
    expect(reader.locator("#told")).to_contain_text("Try again")
    reader.unroute("**/steps/2/")
    summary.click()
    expect(reader.locator("#s2 details").first).not_to_have_attribute("open", "")
    summary.click()
    expect(reader.locator("#s2 .io")).to_be_visible()
    for is_open in (False, True):
        summary.click()
        expect(reader.locator("#s2 .io")).to_be_visible(visible=is_open)
    assert len(asked) == 2
