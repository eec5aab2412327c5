"""Following a run and choosing what to be told, in a real browser, with and without JavaScript."""

import re

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, expect

from dashboard.notices import events, outbox
from dashboard.notices.models import Message, Notice
from runs.models import Run
from tests.browser.states import signed_in_page
from tests.conftest import signed_in
from tests.dashboard.links import full_run
from tests.dashboard.sinks import Webhook


@pytest.mark.parametrize("scripted", [True, False], ids=["scripts", "no-scripts"])
def test_a_run_is_followed_and_its_end_is_told_where_one_wants(
    site: str, browser: Browser, viewer: User, scripted: bool
) -> None:
    full_run(run_id="run_a", status="running")
    page = signed_in_page(browser, signed_in(viewer), java_script_enabled=scripted)
    with Webhook() as hook:
        page.goto(f"{site}/runs/run_a/")
        page.get_by_role("button", name="Follow this run").click()
        expect(page.get_by_text("You follow this run.")).to_be_visible()
        page.goto(f"{site}/notices/settings/")
        expect(page.get_by_text("This installation sends no e-mail")).to_be_visible()
        page.get_by_label("A run completes or is cancelled: by webhook").uncheck()
        page.get_by_label("Address of the webhook").fill("http://10.0.0.8/x")
        page.get_by_role("button", name="Keep").click()
        expect(page.locator("ul.error")).to_contain_text("must start with https://")
        page.get_by_label("Address of the webhook").fill(hook.url)
        page.get_by_role("button", name="Keep").click()
        expect(page.locator(".messages")).to_contain_text("Your choices are kept")
        expect(page.get_by_label("A run completes or is cancelled: by webhook")).not_to_be_checked()
        expect(page.get_by_label("A run fails: by webhook")).to_be_checked()
        page.get_by_role("button", name="Send a test by webhook").click()
        expect(page.locator(".messages")).to_contain_text("The webhook took the test")
        Run.objects.update(status="failed", version=2)
        now = timezone.now()
        assert events.look(now) == outbox.gather(now + outbox.SETTLE) == 1
        Message.objects.update(due_at=now)
        assert outbox.send_due() == 1
        assert [text.partition("\n")[0] for text in hook.texts] == [
            "This is a test of Runsheet’s notices. It reached you, so notices will.",
            "Run run_a failed.",
        ]
    page.goto(f"{site}/")
    page.locator(".menu summary").click()
    page.get_by_role("link", name=re.compile("^Notices 1")).click()
    row = page.locator(".notices li")
    expect(row).to_contain_text("failed")
    expect(row).to_contain_text("webhook: sent")
    page.get_by_role("button", name="Seen all").click()
    expect(page.locator(".notices .warn")).to_have_count(0)
    assert Notice.objects.get().seen_at
    page.context.close()
