"""What refreshes itself, in a real browser: whoever reads there or has the focus keeps it."""

import datetime as dt
import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect

from runs import notices
from runs.models import Run
from tests.factories import make_run, make_runs


@pytest.fixture
def reader(page: Page, viewer_client: Client, site: str) -> Iterator[Page]:
    """A signed-in page that fails the test at any script error."""
    cookie = viewer_client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert not errors


# The status page -----------------------------------------------------------------------------


def failing_poll(minutes_ago: int) -> Run:
    at = timezone.now() - dt.timedelta(minutes=minutes_ago)
    return make_run(
        "running", poll_failures=1, poll_last_error="Case.dev answered 500.", poll_last_error_at=at
    )


def test_the_status_page_is_refreshed_around_whoever_reads_it(reader: Page, site: str) -> None:
    first = failing_poll(minutes_ago=5)
    reader.goto(f"{site}/status/")
    link = reader.get_by_role("link", name=first.run_id)
    link.focus()
    reader.evaluate("getSelection().selectAllChildren(document.querySelector('#vitals h2'))")
    failing_poll(minutes_ago=1)  # which stands above the first
    running = reader.locator("#vitals dt", has_text="Running").locator("+ dd")
    expect(running).to_have_text("2", timeout=15_000)
    expect(link).to_be_focused()
    assert reader.evaluate("getSelection().toString()") == "Work"
    expect(reader.locator("#vitals a")).to_have_count(2)


ASK = """async () => {
  const told = { source: "#vitals", swap: "none" };
  await htmx.ajax("GET", "/status/live/", told).catch(() => {});
  return document.querySelector("#told").textContent;
}"""


def test_the_status_page_rests_unseen_and_bears_a_site_that_is_away(
    reader: Page, site: str
) -> None:
    reader.goto(f"{site}/status/")
    reader.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, value: true })"
    )
    asked: list[str] = []
    reader.on("request", lambda request: asked.append(request.url))
    reader.evaluate(ASK)
    assert not asked
    reader.evaluate("delete document.hidden")
    reader.route("**/status/live/", lambda route: route.abort())
    assert reader.evaluate(ASK) == ""
    assert asked


# The overview --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["the same kind", "another kind"])
def test_a_link_of_the_overview_that_has_the_focus_stays_the_same_runs(
    reader: Page, site: str, kind: str
) -> None:
    at = timezone.now() - dt.timedelta(hours=1)
    if kind == "the same kind":
        older = make_run("failed", prompt="older", completed_at=at)
    else:
        older = make_run("completed", prompt="older", poll_quarantined_at=at)
    reader.goto(f"{site}/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    link = reader.locator(".worries a.said:focus")
    reader.locator(".worries a.said").focus()
    newer = make_run("failed", prompt="newer")
    notices.publish([notices.Notice(newer.pk, newer.version)])
    expect(reader.locator(".worries a.said")).to_have_text(["newer", "older"], timeout=10_000)
    expect(link).to_have_attribute("href", f"/runs/{older.run_id}/")
    expect(link).to_have_text("older")


def test_a_share_of_the_cost_that_has_the_focus_stays_the_same_agents(
    reader: Page, site: str
) -> None:
    make_run(agent_id="agent_a", cost_micros=5_000)
    reader.goto(f"{site}/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    reader.get_by_role("link", name="agent_a").focus()
    newer = make_run(agent_id="agent_b", cost_micros=9_000)
    notices.publish([notices.Notice(newer.pk, newer.version)])
    shares = reader.locator(".shares").first.locator("a")
    expect(shares).to_have_text(["agent_b", "agent_a"], timeout=10_000)
    focused = reader.locator(".shares a:focus")
    expect(focused).to_have_text("agent_a")
    expect(focused).to_have_attribute("href", re.compile("agent=agent_a"))


# The list ------------------------------------------------------------------------------------

HEARD = """() => {
  window.heard = [];
  const look = () => {
    const line = document.querySelector("#arrivals a");
    if (line?.checkVisibility()) window.heard.push(line.textContent);
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


def test_what_no_filter_lets_through_disturbs_nobody_at_a_list_without_rows(
    reader: Page, site: str
) -> None:
    reader.goto(f"{site}/runs/?status=queued")
    expect(reader.locator("#stream-state")).to_have_text("live")
    reader.evaluate(HEARD)
    link = reader.get_by_role("link", name="Save this view")
    link.focus()
    with reader.expect_response(f"{site}/runs/?status=queued") as answer:
        make_run("failed")
    answer.value.finished()
    with reader.expect_response(f"{site}/runs/?status=queued"):
        run = make_run("queued", prompt="wanted")
    expect(reader.locator("#results tr[data-version]")).to_have_count(1)
    expect(reader.locator("#results .empty")).to_have_count(0)
    expect(reader.locator(".tally").first).to_contain_text("1 run matches")
    expect(link).to_be_focused()
    assert reader.evaluate("heard") == []
    # The row is alive, and what comes from now on is told and not fetched.
    changed = Run.objects.filter(pk=run.pk)
    changed.update(status="running", version=run.version + 1)
    notices.publish([notices.Notice(run.pk, run.version + 1)])
    expect(reader.locator(f"#run-{run.pk} .status")).to_have_text("running")
    make_run("queued")
    expect(reader.locator("#arrivals")).to_contain_text("1 new run")
    expect(link).to_be_focused()


@pytest.mark.parametrize(
    ("query", "said", "first"),
    [
        ("?all", "1 new run: show it", "?all"),
        ("?status=completed", "1 new run came: look again", "?status=completed"),
        ("?sort=cost", "1 new run came: look again", "?sort=cost"),
    ],
)
def test_what_came_is_promised_as_far_as_it_is_known_and_is_on_the_first_page(
    reader: Page, site: str, query: str, said: str, first: str
) -> None:
    make_runs(60, status="completed")
    reader.goto(f"{site}/runs/{query}")
    reader.get_by_role("link", name="Next 50").click()
    expect(reader.locator("tr[data-version]")).to_have_count(10)
    expect(reader.locator("#stream-state")).to_have_text("live")
    make_run("completed", cost_micros=10**9)
    arrivals = reader.locator("#arrivals a")
    expect(arrivals).to_have_text(said, timeout=10_000)
    arrivals.click()
    expect(reader).to_have_url(f"{site}/runs/{first}")
    expect(reader.locator("tr[data-version]")).to_have_count(50)
