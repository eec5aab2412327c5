"""For everyone, everywhere: by keyboard alone, without scripts, on paper, by one's own clock."""

import datetime as dt
import io
import re

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, expect
from pypdf import PdfReader

from runs import notices
from runs.models import Run, Upstream
from tests.browser.states import signed_in_page
from tests.factories import make_run, make_runs, make_steps

pytestmark = pytest.mark.same_on_either


SECOND = "#s2 > .body > details > summary"

# A box that is drawn by the words behind it has its ring around them.
HAS_RING = """e => [e, e.nextElementSibling].some(
    (each) => each && getComputedStyle(each).outlineStyle !== "none")"""


def focus_by_tab(page: Page, selector: str, most: int = 80) -> None:
    """Press Tab until `selector` has the focus; each place on the way is seen to have it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not focused.count():  # past the last place, in the browser's own bar
            continue
        assert focused.evaluate(HAS_RING), focused.evaluate("e => e.outerHTML")
        if focused.evaluate("(e, selector) => e.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def test_the_main_job_is_done_by_keyboard_alone(
    browser: Browser, member_client: Client, site: str
) -> None:
    make_runs(3)
    run = make_run(prompt="The newest of all")
    make_steps(run, 6)
    page = signed_in_page(browser, member_client)
    keys = page.keyboard
    page.goto(f"{site}/")
    keys.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    with page.expect_navigation():  # and so until the new page hears keys
        keys.press("g")
        keys.press("l")
    expect(page).to_have_url(f"{site}/runs/")
    keys.press("/")
    keys.type("newest g l ?")  # text, not commands, while one types
    expect(page.locator("#seek")).to_have_value("newest g l ?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.locator("#seek").fill("newest")
    expect(page.locator("tr[id^=run-]")).to_have_count(1)
    keys.press("Escape")
    expect(page.locator("#seek")).not_to_be_focused()
    keys.press("j")
    with page.expect_navigation():
        keys.press("Enter")
    expect(page).to_have_url(f"{site}/runs/{run.run_id}/")
    for _ in range(3):
        keys.press("j")
    keys.press("k")
    expect(page.locator(SECOND)).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#s2 .io")).to_be_visible()
    keys.press("Escape")
    expect(page.locator("#s2 .io")).to_be_hidden()
    expect(page.locator(SECOND)).to_be_focused()
    page.goto(page.url)
    focus_by_tab(page, "a.button[href$='/share/']")
    with page.expect_navigation():
        keys.press("Enter")
    focus_by_tab(page, "[name=purpose]")
    keys.type("For the court")
    focus_by_tab(page, "[name=shows][value=timeline]")
    keys.press("Space")
    focus_by_tab(page, "form.share button:not([name])")
    keys.press("Enter")
    expect(page.locator("#share-address")).to_contain_text("/s/")
    focus_by_tab(page, ".foot [data-key='?']")  # and so to the end: nothing holds the focus
    page.context.close()


def test_the_list_of_keys_opens_closes_and_can_be_turned_off(
    browser: Browser, member_client: Client, site: str
) -> None:
    page = signed_in_page(browser, member_client)
    page.goto(f"{site}/runs/add/")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    page.locator("dialog [data-choice=keys]").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    for attempt in ("at once", "on the next page"):
        page.keyboard.press("?")
        page.keyboard.press("g")
        page.keyboard.press("o")
        expect(page.locator("dialog"), attempt).to_be_hidden()
        assert page.url == f"{site}/runs/add/", attempt
        page.reload()
    page.locator(".foot [data-key='?']").click()  # the link still opens it
    page.locator("dialog [data-choice=keys]").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page).to_have_url(f"{site}/")
    page.context.close()


def test_c_copies_the_link_of_the_step_that_has_the_focus(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    run = make_run()
    make_steps(run, 3)
    rights = ["clipboard-read", "clipboard-write"]
    page = signed_in_page(browser, viewer_client, permissions=rights)
    page.goto(f"{site}/runs/{run.run_id}/")
    page.locator(SECOND).focus()
    page.keyboard.press("c")
    expect(page.locator("#told")).to_have_text("Link copied.")
    assert page.evaluate("navigator.clipboard.readText()") == f"{page.url}#s2"
    page.context.close()


def test_the_main_job_is_done_without_scripts(
    browser: Browser, member_client: Client, site: str
) -> None:
    make_runs(3)
    run = make_run(prompt="The newest of all")
    make_steps(run, 120)
    page = signed_in_page(browser, member_client, java_script_enabled=False)
    page.goto(f"{site}/runs/")
    page.locator("#seek").fill("newest")
    page.get_by_role("button", name="Apply").click()
    page.locator("tr[id^=run-] a").click()
    expect(page.locator("#s100")).to_be_attached()
    page.get_by_role("link", name="later steps").click()
    expect(page.locator("#s120")).to_be_visible()
    page.goto(f"{site}/runs/{run.run_id}/")
    page.locator(SECOND).click()
    page.get_by_role("link", name="Input and output of step 2").click()
    expect(page.get_by_role("region", name="Output", exact=True)).to_contain_text("obj_msa_2021")
    page.goto(f"{site}/runs/{run.run_id}/")
    page.get_by_role("link", name="Share", exact=True).click()
    page.locator("[name=purpose]").fill("For the court")
    page.locator("[name=shows][value=timeline]").check()
    page.get_by_role("button", name="Create link").click()
    address = page.locator("#share-address").inner_text()
    guest = browser.new_page(java_script_enabled=False)
    guest.goto(address)
    expect(guest.locator("#s1")).to_be_visible()
    assert "All times are UTC" in guest.locator(".foot").evaluate("foot => foot.innerText")
    page.goto(f"{site}/help/keys/")
    expect(page.locator("main .keys")).to_contain_text("next and previous line")
    guest.close()
    page.context.close()


# Choices -----------------------------------------------------------------------------------------


def test_times_are_told_by_the_readers_clock_if_so_chosen_and_the_record_stays_utc(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    started = dt.datetime(2026, 3, 4, 2, 5, 6, tzinfo=dt.UTC)
    run = make_run("running", started_at=started)
    make_steps(run, 2)
    page = signed_in_page(browser, viewer_client, timezone_id="America/New_York")
    page.goto(f"{site}/runs/{run.run_id}/")
    time = page.locator("#s1 time")
    expect(time).to_have_text("02:05:09")
    axis = page.locator(".strip time").first
    page.locator("[data-choice=zone]").select_option("local")
    expect(time).to_have_text("21:05:09")
    expect(axis).to_have_text("21:05:06")
    assert str(time.get_attribute("title")).startswith("2026-03-04 02:05:09 UTC")
    assert time.get_attribute("datetime") == "2026-03-04T02:05:09Z"
    expect(page.locator("#run-facts time").first).to_contain_text("GMT-0")
    page.goto(f"{site}/runs/")  # the choice is kept
    row = page.locator(f"#run-{run.pk} .start time")
    expect(row).to_have_text("3 Mar 21:05")
    expect(page.locator("#stream-state")).to_have_text("live")
    Run.objects.filter(pk=run.pk).update(version=2, step_count=77)
    notices.publish([notices.Notice(run.pk, 2)])
    expect(page.locator(f"#run-{run.pk} .steps")).to_have_text("77")
    expect(row).to_have_text("3 Mar 21:05")  # and what comes in is told by it
    page.locator("[data-choice=zone]").select_option("")
    expect(row).to_have_text("4 Mar 02:05")
    page.context.close()


def test_light_and_dark_are_chosen_against_the_systems(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    page = signed_in_page(browser, viewer_client, color_scheme="light")
    page.goto(f"{site}/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("[data-choice=theme]").select_option("dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.goto(f"{site}/runs/")
    assert page.locator("html").get_attribute("data-theme") == "dark"  # from the server: no flash
    assert page.evaluate(ground) == dark
    page.locator("[data-choice=theme]").select_option("")
    assert page.evaluate(ground) == light
    page.context.close()


@pytest.mark.parametrize("value", ["<b>", "darkest", ""])
def test_a_cookie_that_says_nothing_known_is_no_choice(viewer_client: Client, value: str) -> None:
    viewer_client.cookies["theme"] = value
    assert '<html lang="en">' in viewer_client.get("/").content.decode()


# Live --------------------------------------------------------------------------------------------


def test_while_paused_steps_wait_and_are_counted(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    run = make_run("running", step_count=0)
    make_steps(run, 3)
    page = signed_in_page(browser, viewer_client)
    page.goto(f"{site}/runs/{run.run_id}/")
    expect(page.locator("#stream-state")).to_have_text("live")
    page.keyboard.press("w")
    for version in (2, 3):
        run.version = version
        make_steps(run, 2)
        Run.objects.filter(pk=run.pk).update(version=version)
        notices.publish([notices.Notice(run.pk, version)])
        count = 2 * (version - 1)
        expect(page.locator("#follow button")).to_have_text(f"Go on: {count} new steps waiting")
    expect(page.locator("#run-head")).to_contain_text("7")  # the totals stay true
    expect(page.locator("#steps > li")).to_have_count(3)
    page.locator("#follow button").click()
    expect(page.locator("#steps > li")).to_have_count(7)
    expect(page.locator("#follow button")).to_have_text("Pause")
    page.context.close()


def test_what_cannot_be_loaded_is_said_and_can_be_tried_again(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    run = make_run()
    make_steps(run, 2)
    page = signed_in_page(browser, viewer_client)
    page.goto(f"{site}/runs/{run.run_id}/")

    def refuse(route: Route) -> None:
        route.fulfill(status=503)

    page.route("**/steps/2/", refuse)
    page.locator(SECOND).click()
    expect(page.locator("#told")).to_contain_text("the site answered 503")
    page.unroute("**/steps/2/", refuse)
    page.locator("#s2 .opened a").click()  # what stands there leads on
    expect(page.get_by_role("heading", name="Output")).to_be_visible()
    page.context.close()


# Whether what is spoken at once stands as it was when it began to be watched.
WATCH = """(alert) => {
    let changes = 0;
    const look = { attributes: true, characterData: true, childList: true, subtree: true };
    new MutationObserver((found) => (changes += found.length)).observe(alert, look);
    window.isAsItWas = () => alert.isConnected && changes === 0;
}"""


def test_an_outage_is_spoken_once_though_the_page_counts_down_to_the_next_try(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    page = signed_in_page(browser, viewer_client)
    make_run("running")
    page.goto(f"{site}/runs/")
    expect(page.locator("#stream-state")).to_have_text("live")
    now = timezone.now()
    away = {"state": "down", "since": now, "last_error": "Case.dev answered 503."}
    next_try = {"probe_at": now + dt.timedelta(seconds=90)}
    Upstream.objects.update_or_create(pk=Upstream.SOLE, defaults=away | next_try)
    notices.publish_upstream()
    alert = page.locator("#banners [role=alert]")
    expect(alert).to_contain_text("Case.dev answered 503")
    alert.evaluate(WATCH)
    banner = page.locator("#banners .banner")
    expect(banner).to_contain_text(", next try in ")
    before = banner.inner_text()
    expect(banner).not_to_have_text(before, timeout=10_000)
    assert page.evaluate("isAsItWas()")
    page.context.close()


# Paper -------------------------------------------------------------------------------------------


def printed(page: Page) -> str:
    """The words on paper, without the breaks between lines and pages."""
    reader = PdfReader(io.BytesIO(page.pdf()))
    return re.sub(r"\s+", "", "".join(sheet.extract_text() for sheet in reader.pages))


def test_all_that_a_page_shows_is_on_paper_and_what_it_does_not_is_told(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    wide = "wide" + "0123456789" * 30 + "end"
    long = " ".join(f"word{number}" for number in range(300)) + " last"
    run = make_run(prompt=long, output="# Memo\n\n" + long, logs=[["runner", f"{long}\n{wide}"]])
    make_steps(run, 130)
    make_steps(run, 1, content=wide)
    run.steps.filter(position=2).update(tool_output=f'"{long}"')
    run.steps.filter(position=3).update(content=f"{long} {wide}")
    page = signed_in_page(browser, viewer_client)
    page.goto(f"{site}/runs/{run.run_id}/")
    page.locator(SECOND).click()
    expect(page.locator("#s2 .io")).to_be_visible()
    page.locator(SECOND).click()  # folded again, and on paper all the same
    paper = printed(page)
    words = re.sub(r"\s+", "", long)
    assert paper.count(words) >= 2  # the request and an output, both folded
    assert f"word299last{wide}" in paper  # what the agent said, to its end
    for position in range(1, 101):
        step = f"Saidinstep{position}." if position % 3 != 2 and position != 3 else "Listed"
        assert step in paper or position == 3, position
    assert "31latersteps,101to131" in paper
    assert page.url.replace("http://", "") in paper  # where the rest is
    assert "Notonpaper" in paper  # an input and output that nobody opened
    for tab, said in {"result/": words, "logs/": wide}.items():
        page.goto(f"{site}/runs/{run.run_id}/{tab}")
        assert said in printed(page), tab
    page.context.close()


def test_what_moves_keeps_still_for_whoever_wants_it_so(
    browser: Browser, viewer_client: Client, site: str
) -> None:
    make_run("running", created_at=timezone.now())
    page = signed_in_page(browser, viewer_client, reduced_motion="reduce")
    page.goto(f"{site}/runs/")
    moving = """() => [...document.querySelectorAll("*")].filter((each) => {
        const style = getComputedStyle(each);
        return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
    }).length"""
    assert page.evaluate(moving) == 0
    page.context.close()
