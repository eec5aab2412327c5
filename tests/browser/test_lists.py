"""The list and the overview in a real browser."""

import datetime as dt
import re

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect

from runs import notices
from runs.models import Run
from tests.factories import make_agent, make_run, make_runs
from tests.siteserver import SiteServer


@pytest.fixture
def reader(page: Page, viewer_client: Client, site: SiteServer) -> Page:
    cookie = viewer_client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    return page


def keys(reader: Page) -> list[str]:
    return [str(row.get_attribute("id")) for row in reader.locator("tr[id^=run-]").all()]


def address_is(reader: Page, query: str) -> None:
    expect(reader).to_have_url(re.compile(re.escape(f"/runs/{query}") + "$"))


def test_filters_change_the_rows_and_the_address_and_can_be_gone_back_from(
    reader: Page, site: str
) -> None:
    make_agent("agent_x", "Examiner")
    failed = make_run("failed", agent_id="agent_x", prompt="the nda")
    make_run("failed")
    make_run("completed", agent_id="agent_x")
    reader.goto(f"{site}/runs/")
    assert len(keys(reader)) == 3
    reader.get_by_label("failed", exact=True).check()
    address_is(reader, "?status=failed")
    expect(reader.locator("tr[id^=run-]")).to_have_count(2)
    reader.get_by_label("Agent").select_option("Examiner")
    address_is(reader, "?status=failed&agent=agent_x")
    expect(reader.locator("tr[id^=run-]")).to_have_count(1)
    assert keys(reader) == [f"run-{failed.pk}"]
    reader.go_back()
    address_is(reader, "?status=failed")
    expect(reader.locator("tr[id^=run-]")).to_have_count(2)
    assert reader.get_by_label("Agent").input_value() == ""
    assert reader.locator("input[value=failed]").is_checked()


def test_typing_goes_on_while_results_come_in(reader: Page, site: str) -> None:
    make_runs(3, prompt="something else")
    wanted = make_run(prompt="force majeure clauses")
    reader.goto(f"{site}/runs/")
    reader.keyboard.press("/")
    reader.keyboard.type("force majeure", delay=60)
    expect(reader.locator("tr[id^=run-]")).to_have_count(1)
    address_is(reader, "?q=force+majeure")
    reader.keyboard.type(" clauses", delay=60)
    address_is(reader, "?q=force+majeure+clauses")
    assert keys(reader) == [f"run-{wanted.pk}"]
    assert reader.locator("#seek").input_value() == "force majeure clauses"


def test_a_period_and_a_date_let_go_of_each_other(reader: Page, site: str) -> None:
    make_run()
    reader.goto(f"{site}/runs/")
    reader.get_by_label("7 days", exact=True).check()
    address_is(reader, "?from=7d")
    reader.locator("input[type=date][name=from]").fill("2026-01-02")
    address_is(reader, "?from=2026-01-02")
    reader.get_by_label("Today", exact=True).check()
    address_is(reader, "?from=today")
    assert reader.locator("input[type=date][name=from]").input_value() == ""


def test_a_wrong_date_in_the_address_is_told_and_forgotten(reader: Page, site: str) -> None:
    make_run()
    reader.goto(f"{site}/runs/?from=soon")
    expect(reader.locator("#complaints")).to_contain_text("“soon” is no date")
    reader.get_by_label("Today", exact=True).check()
    address_is(reader, "?from=today")
    expect(reader.locator("#complaints")).to_be_hidden()


def test_a_row_of_filtered_results_is_alive(reader: Page, site: str) -> None:
    run = make_run("queued", prompt="wanted")
    make_run("completed")
    reader.goto(f"{site}/runs/")
    reader.locator("#seek").fill("wanted")
    expect(reader.locator("tr[id^=run-]")).to_have_count(1)
    expect(reader.locator("#stream-state")).to_have_text("live")
    Run.objects.filter(pk=run.pk).update(
        status="running", started_at=timezone.now(), version=run.version + 1
    )
    notices.publish([notices.Notice(run.pk, run.version + 1)])
    row = reader.locator(f"#run-{run.pk}")
    expect(row.locator(".status")).to_have_text("running")
    expect(row.locator("[data-since]")).to_have_text(re.compile(r"^[1-9] s$"))  # it counts on


def test_what_was_found_is_not_asked_for_again_when_the_search_is_left(
    reader: Page, site: str
) -> None:
    """The rows would be replaced, and with them the link that has the keyboard's focus."""
    run = make_run(prompt="wanted")
    make_run()
    reader.goto(f"{site}/runs/")
    reader.locator("#seek").fill("wanted")
    expect(reader.locator("tr[id^=run-]")).to_have_count(1)
    address_is(reader, "?q=wanted")
    asked: list[str] = []
    reader.on("request", lambda request: asked.append(request.url))
    reader.keyboard.press("Escape")
    reader.keyboard.press("j")
    expect(reader.locator(f"#run-{run.pk} a:focus")).to_have_count(1)
    assert not [url for url in asked if "q=wanted" in url and "/live/" not in url]


def test_without_scripts_filters_pages_and_orders_work(
    browser, viewer_client: Client, site: str
) -> None:
    make_runs(60, prompt="wanted", status="failed")
    make_runs(3)
    context = browser.new_context(java_script_enabled=False)
    cookie = viewer_client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    page = context.new_page()
    page.goto(f"{site}/runs/")
    page.locator("#seek").fill("wanted")
    page.get_by_label("failed", exact=True).check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".tally")).to_contain_text("60 runs match")
    page.get_by_role("link", name="Cost").click()
    page.get_by_role("link", name="Next 50").click()
    expect(page.locator("tr[id^=run-]")).to_have_count(10)
    page.get_by_role("link", name="Back to the first").first.click()
    expect(page.locator("tr[id^=run-]")).to_have_count(50)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator(".tally")).to_contain_text("63 runs")
    context.close()


def test_a_run_that_starts_appears_on_the_overview_by_itself(reader: Page, site: str) -> None:
    first = make_run("running", prompt="first")
    make_run("failed", prompt="a failure")
    reader.goto(f"{site}/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    reader.evaluate("getSelection().selectAllChildren(document.querySelector('.worries .said'))")
    second = make_run("running", prompt="second")
    notices.publish([notices.Notice(second.pk, second.version)])
    expect(reader.locator(f"#run-{second.pk}")).to_be_visible(timeout=10_000)
    expect(reader.locator(".glance dd").first).to_have_text("2")
    assert reader.evaluate("getSelection().toString()") == "a failure"
    # Its row is alive too, and so is the first one's.
    for run in (first, second):
        Run.objects.filter(pk=run.pk).update(
            status="completed", completed_at=timezone.now(), version=run.version + 1
        )
        notices.publish([notices.Notice(run.pk, run.version + 1)])
        expect(reader.locator(f"#run-{run.pk} .status")).to_have_text("completed")


def test_the_overview_leads_to_the_login_after_a_logout(
    reader: Page, site: str, viewer_client: Client
) -> None:
    make_run("running", created_at=timezone.now() - dt.timedelta(minutes=1))
    reader.goto(f"{site}/")
    viewer_client.logout()
    reader.evaluate("htmx.trigger('#arrivals', 'runsheet:changed')")
    expect(reader).to_have_url(re.compile(r"/accounts/login/\?next=/"))


@pytest.mark.parametrize("address", ["/", "/runs/", "/runs/add/", "/accounts/password/change/"])
def test_no_page_is_wider_than_the_screen(reader: Page, site: str, address: str) -> None:
    make_run("running", prompt="x" * 300, agent_id="agent_" + "y" * 150)
    make_run("failed", failure_cause="z" * 400)
    reader.goto(f"{site}{address}")
    for width in (320, 360, 720, 721, 900, 1280):
        reader.set_viewport_size({"width": width, "height": 700})
        assert reader.evaluate("document.documentElement.scrollWidth") <= width
