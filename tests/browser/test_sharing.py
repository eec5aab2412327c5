"""A share link in two browsers: who makes it, and who was given it."""

from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Request

from dashboard.models import ShareView
from tests.dashboard.links import full_run, share
from tests.siteserver import SiteServer


def note(complaints: list[str], said: ConsoleMessage) -> None:
    if said.type == "error":
        complaints.append(said.text)


def test_a_link_is_made_copied_opened_elsewhere_and_revoked(
    site: SiteServer, browser: Browser, member: User
) -> None:
    run = full_run(prompt="The matter of Hale")
    complaints: list[str] = []
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as ours:
        page = ours.new_page()
        page.on("console", lambda said: note(complaints, said))
        page.goto(f"{site}/runs/{run.run_id}/share/")
        page.fill("[name=login]", "mira")
        page.fill("[name=password]", "mira of the tests")
        page.press("[name=password]", "Enter")
        page.fill("[name=purpose]", "For the court")
        page.click("text=Create link")
        page.click("button:text('Copy')")
        page.wait_for_selector("button:text('Copied')")
        address = page.evaluate("navigator.clipboard.readText()")
        assert address.startswith(f"{site}/s/")
        with browser.new_context() as theirs:
            guest = theirs.new_page()
            requests: list[Request] = []
            guest.on("request", lambda request: requests.append(request))
            guest.goto(address)
            assert "The matter of Hale" in guest.inner_text("main")
            guest.click("nav >> text=Cost")
            guest.wait_for_url(f"{address}cost/")
            assert not any(request.header_value("referer") for request in requests)
            assert all(request.url.startswith(f"{site}/") for request in requests)
            page.goto(f"{site}/share-links/")
            page.click("a.button:text('Revoke')")
            page.click("button:text('Revoke link')")
            page.wait_for_selector("text=The link is revoked")
            guest.reload()
            assert "Nothing opens here" in guest.inner_text("main")
    assert complaints == []


def test_a_shared_run_is_read_without_javascript(
    site: SiteServer, browser: Browser, member: User
) -> None:
    token = share(full_run("running", prompt="The matter of Hale"), member)
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}/s/{token}/")
        assert "The matter of Hale" in page.inner_text("main")
        for tab in ("Cost", "Result", "Logs", "Timeline"):
            page.click(f"nav >> text={tab}")
            assert page.title().endswith("Shared run · Runsheet")
        page.goto(f"{site}/s/{token}/steps/2/")
        assert "casedev vault list" in page.inner_text("main")
    views = set(ShareView.objects.values_list("page", flat=True))
    assert views == {"timeline", "cost", "result", "logs", "step"}
