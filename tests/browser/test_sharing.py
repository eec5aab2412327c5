"""A share link in two browsers: who makes it, and who was given it."""

import re

from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from dashboard.models import ShareView
from tests.dashboard.links import full_run, share
from tests.dashboard.streams import change
from tests.factories import make_entries, make_run
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
        for part in ("request", "timeline", "cost"):
            page.check(f"[name=shows][value={part}]")
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
            # The token is gone from the address, and so from the history.
            assert re.fullmatch(rf"{site}/s/-/[\w-]+/", guest.url)
            guest.click("nav >> text=Cost")
            guest.wait_for_url("**/cost/")
            guest.go_back()
            assert "The matter of Hale" in guest.inner_text("main")
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
    assert views == {"link", "timeline", "cost", "result", "logs", "step"}


def test_what_is_picked_in_the_preview_is_redacted_for_the_recipient(
    site: SiteServer, browser: Browser, member: User
) -> None:
    run = full_run(prompt="The matter of Hale", summary="Hale owes nothing.")
    complaints: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 1400}) as ours:
        page = ours.new_page()
        page.on("console", lambda said: note(complaints, said))
        page.goto(f"{site}/runs/{run.run_id}/share/")
        page.fill("[name=login]", "mira")
        page.fill("[name=password]", "mira of the tests")
        page.press("[name=password]", "Enter")
        page.fill("[name=purpose]", "For the court")
        page.check("[name=shows][value=timeline]")
        page.evaluate(
            """() => {
              const walk = document.createTreeWalker(document.getElementById("preview"), 4);
              let text;
              while ((text = walk.nextNode())) {
                const at = text.data.indexOf("Hale");
                if (at >= 0) getSelection().setBaseAndExtent(text, at, text, at + 4);
              }
            }"""
        )
        page.click("#pick-words")
        page.wait_for_selector("#preview >> text=[redacted] owes nothing.")
        page.check("#preview [name=step][value='1']")
        page.click("text=Create link")
        address = page.inner_text("#share-address")
        with browser.new_context() as theirs:
            guest = theirs.new_page()
            guest.goto(address)
            assert "[redacted] owes nothing." in guest.inner_text("main")
            assert guest.inner_text("#s1 .body") == "[redacted]"
            assert "Hale" not in guest.content()
    assert complaints == []


def test_a_passphrase_is_asked_under_the_link_and_not_again(
    site: SiteServer, browser: Browser, member: User
) -> None:
    token = share(full_run(prompt="The matter of Hale"), member, passphrase="open sesame")
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}/s/{token}/")
        assert "Hale" not in page.content()
        page.fill("[name=passphrase]", "wrong words")
        page.click("button")
        assert "That is not the passphrase" in page.inner_text("main")
        page.fill("[name=passphrase]", "open sesame")
        page.click("button")
        assert "The matter of Hale" in page.inner_text("main")
        page.goto(f"{site}/s/{token}/cost/")
        assert "This run cost" in page.inner_text("main")
        assert "sesame" not in page.url


# While the run goes on --------------------------------------------------------------------------


def test_the_page_of_costs_that_was_asked_for_stays_while_the_run_goes_on(
    site: SiteServer, page: Page, member: User
) -> None:
    run = full_run("running")
    make_entries(run, 258)
    page.goto(f"{site}/s/{share(run, member)}/cost/")
    page.click("text=More entries")
    first = page.locator("#run-cost tbody td").first
    expect(first).to_have_text("251")
    change(run, entry_count=261)
    expect(page.locator("#run-cost .verdict")).to_contain_text("261 usage entries")
    expect(first).to_have_text("251")


def test_the_result_stays_as_text_while_the_run_goes_on(
    site: SiteServer, page: Page, member: User
) -> None:
    run = full_run("running", output="**Memo**")
    page.goto(f"{site}/s/{share(run, member)}/result/")
    page.click("text=As text")
    expect(page.locator("#run-result .prose")).to_have_text("**Memo**")
    change(run, output="**Memo** of Hale")
    expect(page.locator("#run-result .output")).to_contain_text("of Hale")
    expect(page.locator("#run-result .prose")).to_have_text("**Memo** of Hale")


def test_a_recipient_is_told_that_there_are_no_steps_until_the_first_comes(
    site: SiteServer, page: Page, member: User
) -> None:
    run = make_run("running", step_count=0)
    page.goto(f"{site}/s/{share(run, member)}/")
    none = page.locator("#timeline .empty")
    expect(none).to_have_text("No steps yet")
    change(run, steps=2)
    expect(page.locator("#s2")).to_be_visible()
    expect(none).to_have_count(0)
