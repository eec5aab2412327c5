"""Live pages behind a connection that fails, in a real browser."""

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from runs.models import Poll
from tests.browser.test_live_pages import change
from tests.factories import make_run
from tests.siteserver import SiteServer


@pytest.fixture
def reader(page: Page, viewer_client: Client) -> Page:
    """A signed-in page, which may complain: each test here breaks something."""
    cookie = viewer_client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    return page


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
