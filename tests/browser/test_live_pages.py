"""Live pages in a real browser: what changes, and what stays as the reader has it."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from runs import notices
from runs.models import Poll, Run, Step
from tests.factories import make_run, make_steps
from tests.product import until
from tests.siteserver import SiteServer


@pytest.fixture
def run(site: str) -> Run:
    return make_run("running", run_id="run_live", step_count=0)


@pytest.fixture
def reader(page: Page, viewer_client: Client) -> Iterator[Page]:
    """A signed-in page that fails the test at any script error."""
    cookie = viewer_client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda line: (
            errors.append(line.text)
            if line.type == "error" and "net::ERR" not in line.text
            else None
        ),
    )
    yield page
    assert not errors


def change(run: Run, steps: int = 0, **fields: Any) -> None:
    """What a sync does: new rows under a new version, and a notice once they are there."""
    run.version += 1
    if steps:
        make_steps(run, steps)
    Run.objects.filter(pk=run.pk).update(version=run.version, **fields)
    notices.publish([notices.Notice(run.pk, run.version)])


def alter(run: Run, position: int, **fields: Any) -> None:
    """A step that gained something."""
    steps = Step.objects.filter(run=run, position=position)
    steps.update(changed_version=run.version + 1, **fields)
    change(run)


def append(run: Run, position: int) -> None:
    """One step more, with as few queries as can be."""
    Step.objects.create(
        run=run,
        position=position,
        type=Step.Type.OUTPUT,
        content=f"Said in step {position}.",
        timestamp=timezone.now(),
        changed_version=run.version + 1,
    )
    change(run, step_count=position)


def open_run(reader: Page, site: str, run: Run, query: str = "") -> None:
    reader.goto(f"{site}/runs/{run.run_id}/{query}")
    expect(reader.locator("#stream-state")).to_have_text("live")


def shown(page: Page) -> dict[str, str]:
    """The run's page as it stands, without what the browser added and what counts time."""
    page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-settling')")
    shown: dict[str, str] = page.evaluate(
        """() => Object.fromEntries(
            ["run-title", "run-head", "run-facts", "run-strip", "run-tabs", "timeline"]
            .map((id) => {
                const copy = document.getElementById(id).cloneNode(true);
                const all = (selector) => copy.querySelectorAll(selector);
                for (const own of all(".follow, .newer, line.now")) own.remove();
                for (const clock of all("[data-since]")) clock.textContent = "";
                for (const time of all("time[title]")) time.removeAttribute("title");
                const html = copy.outerHTML.replace(/\\s+/g, " ");
                return [id, html.replace(/ (class|open)=""/g, "")];
            }))"""
    )
    return shown


def shown_anew(reader: Page) -> dict[str, str]:
    """The same of a page that is loaded now."""
    other = reader.context.new_page()
    other.goto(reader.url)
    anew = shown(other)
    other.close()
    return anew


def expect_as_anew(reader: Page) -> None:
    """The page comes to what one shows that is loaded now. Its parts do not come all at once: what
    is slow follows what is quick, and the whole request is fetched by itself."""
    anew = shown_anew(reader)
    with contextlib.suppress(AssertionError):  # told by the comparison, with what differs
        until(lambda: shown(reader) == anew, 10, "the page to be as it is anew")
    assert shown(reader) == anew


def test_a_new_step_appears_without_a_reload(reader: Page, site: str, run: Run) -> None:
    open_run(reader, site, run)
    expect(reader.locator("#timeline .empty")).to_be_visible()
    change(run, steps=2)
    expect(reader.locator("#s2")).to_be_visible()
    expect(reader.locator("#timeline .empty")).to_have_count(0)
    assert reader.title().startswith("▶ ")
    change(run, steps=1, status="completed")
    expect(reader.locator("#s3")).to_be_visible()
    expect(reader.locator("#run-head .status")).to_have_text("completed")
    assert reader.title().startswith("✓ ")


def test_why_there_are_no_steps_follows_how_the_run_stands(
    reader: Page, site: str, run: Run
) -> None:
    Run.objects.update(status="queued")
    open_run(reader, site, run)
    why = reader.locator("#no-steps")
    expect(why).to_contain_text("Not started")
    change(run, status="running")
    expect(why).to_contain_text("No steps yet")
    change(run, steps=1)
    expect(why).to_be_empty()


def test_a_page_without_a_match_says_so_alone_while_the_run_goes_on(
    reader: Page, site: str, run: Run
) -> None:
    open_run(reader, site, run, "?type=output")
    why = reader.locator("#timeline .empty")
    expect(why).to_contain_text("No step matches")
    change(run, steps=1)
    expect(reader.locator("#run-head")).to_contain_text("Steps1")
    expect(why).to_have_count(1)
    expect(reader.locator("#steps > li")).to_have_count(0)


def test_the_keys_to_follow_and_to_wait_do_nothing_where_steps_are_filtered(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 12, tool_output=None, duration_ms=None)
    open_run(reader, site, run, "?type=tool_call")
    reader.keyboard.press("w")
    reader.keyboard.press("f")
    alter(run, 2, tool_output='{"chunks": "found"}', duration_ms=77_000)
    expect(reader.locator("#s2 .took")).to_have_text("1:17")


def test_the_whole_request_appears_when_the_details_bring_it(
    reader: Page, site: str, run: Run
) -> None:
    Run.objects.filter(pk=run.pk).update(prompt="Review the lease of", prompt_is_cut=True)
    open_run(reader, site, run)
    whole = "Review the lease of Hale & Sons"
    change(run, prompt=whole, prompt_is_cut=False)
    expect(reader.locator("h1")).to_have_text(whole)
    expect_as_anew(reader)


# What is read stays ----------------------------------------------------------------------------


def as_the_reader_has_it(page: Page) -> dict[str, Any]:
    """What is selected, focused and open, and where on the screen it stands."""
    state: dict[str, Any] = page.evaluate(
        """() => ({
            selected: getSelection().toString(),
            focused: document.activeElement.closest("li")?.id,
            opened: [...document.querySelectorAll("#steps details[open]")]
                .map((it) => it.closest("li").id),
            payload: document.querySelector("#s2 .io")?.textContent,
            top: Math.round(document.getElementById("s12").getBoundingClientRect().top),
        })"""
    )
    return state


@pytest.mark.timeout(240)
def test_nothing_that_is_read_moves_or_closes_in_a_thousand_updates(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 40)
    open_run(reader, site, run)
    reader.locator("#s2 summary").click()
    expect(reader.locator("#s2 .io")).to_be_visible()
    reader.locator("#s12").scroll_into_view_if_needed()
    reader.locator("#s14 a.n").focus()
    reader.evaluate(
        """() => {
            const words = document.querySelector("#s12 .say").firstChild;
            getSelection().setBaseAndExtent(words, 0, words, words.length);
        }"""
    )
    before = as_the_reader_has_it(reader)
    assert before["selected"] == "Said in step 12."
    for number in range(1000):
        match number % 4:
            case 0:
                alter(run, 12, content=f"Said anew, {number}.")
            case 1:
                alter(run, 2, duration_ms=number)
            case 2:
                alter(run, 14, duration_ms=number * 1000, tool_output='"found"')
            case 3:
                append(run, 41 + number // 4)
    expect(reader.locator("#s290")).to_be_attached(timeout=20_000)
    expect(reader.locator("#s14 .when")).to_contain_text("16:38")
    expect(reader.locator("#stream-state")).to_contain_text("selection")
    assert as_the_reader_has_it(reader) == before
    reader.evaluate("() => getSelection().removeAllRanges()")
    expect(reader.locator("#s12 .say")).to_have_text("Said anew, 996.")
    expect(reader.locator("#stream-state")).to_have_text("live")


def test_an_opened_payload_shows_the_output_that_came_later(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 2, tool_output=None, duration_ms=None)
    open_run(reader, site, run)
    reader.locator("#s2 summary").click()
    expect(reader.locator("#s2 .io")).to_contain_text("no output yet")
    alter(run, 2, tool_output='{"chunks": "found at last"}', duration_ms=1200)
    expect(reader.locator("#s2 .io")).to_contain_text("found at last")
    assert reader.locator("#s2 details").first.get_attribute("open") is not None


def test_an_opened_call_shows_what_a_later_step_answers(reader: Page, site: str, run: Run) -> None:
    """Nothing of the call's own row changes by that."""
    make_steps(run, 1, type="tool_call", tool_name="grep", tool_output=None, duration_ms=None)
    open_run(reader, site, run)
    reader.locator("#s1 summary").click()
    expect(reader.locator("#s1 .io")).to_contain_text("no output yet")
    make_steps(
        run,
        1,
        type="tool_result",
        tool_name="grep",
        tool_input=None,
        tool_output='"found at last"',
        changed_version=run.version + 1,
    )
    change(run)
    expect(reader.locator("#s1 .pair")).to_have_text("answered in step 2")
    expect(reader.locator("#s1 .io")).to_contain_text("found at last")


def wait_for(page: Page, routes: list[Route], count: int) -> None:
    """Until the browser has asked `count` times: Playwright tells of it while it waits."""
    while len(routes) < count:
        page.wait_for_timeout(10)


def test_a_payload_opened_before_the_change_and_brought_after_it_is_fetched_again(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 2, tool_output=None, duration_ms=None)
    open_run(reader, site, run)
    answers: list[Route] = []
    reader.route("**/steps/2/", lambda route: answers.append(route), times=1)
    with reader.expect_request("**/steps/2/"):
        reader.locator("#s2 summary").click()
    expect(reader.locator("#s2 details")).to_have_attribute("open", "")
    wait_for(reader, answers, 1)
    early = answers[0].fetch()
    assert "no output yet" in early.text()
    alter(run, 2, tool_output='{"chunks": "found at last"}', duration_ms=1200)
    expect(reader.locator("#s2 .took")).to_have_text("1.2 s")
    answers[0].fulfill(response=early)
    expect(reader.locator("#s2 .io")).to_contain_text("found at last")


def test_an_early_answer_that_comes_last_takes_no_newer_one_away(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 2, tool_output=None, duration_ms=None)
    open_run(reader, site, run)
    answers: list[Route] = []
    reader.route("**/steps/2/", lambda route: answers.append(route))
    reader.locator("#s2 summary").click()
    wait_for(reader, answers, 1)
    early = answers[0].fetch()
    alter(run, 2, tool_output='{"chunks": "found at last"}', duration_ms=1200)
    wait_for(reader, answers, 2)
    answers[1].continue_()
    expect(reader.locator("#s2 .io")).to_contain_text("found at last")
    with reader.expect_response("**/steps/2/"):
        answers[0].fulfill(response=early)
    reader.evaluate("() => new Promise(requestAnimationFrame)")
    expect(reader.locator("#s2 .io")).to_contain_text("found at last")


def test_a_change_while_an_opened_payload_settles_does_not_close_it(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 2, tool_output=None, duration_ms=None)
    open_run(reader, site, run)
    reader.evaluate("() => { htmx.config.defaultSettleDelay = 2000; }")
    reader.locator("#s2 summary").click()
    expect(reader.locator("#s2 .io")).to_contain_text("no output yet")
    alter(run, 2, tool_output='{"chunks": "found at last"}', duration_ms=1200)
    expect(reader.locator("#s2 .io")).to_contain_text("found at last")


def test_whoever_follows_stays_at_the_newest_step_until_scrolling_up(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 60)
    open_run(reader, site, run)
    change(run, steps=1)
    newer = reader.locator("button.newer")
    expect(newer).to_have_text("1 new step ↓")
    change(run, steps=2)
    expect(newer).to_have_text("3 new steps ↓")
    reader.get_by_label("Follow the newest step").check()
    expect(reader.locator("#s63")).to_be_in_viewport()
    expect(newer).to_be_hidden()
    change(run, steps=5)
    expect(reader.locator("#s68")).to_be_in_viewport()
    reader.mouse.move(400, 300)
    reader.mouse.wheel(0, -2000)
    expect(reader.get_by_label("Follow the newest step")).not_to_be_checked()
    change(run, steps=5)
    expect(newer).to_have_text("5 new steps ↓")
    expect(reader.locator("#s73")).not_to_be_in_viewport()


# Lost and found --------------------------------------------------------------------------------


def test_after_a_restart_the_page_shows_what_a_fresh_one_shows(reader: Page, run: Run) -> None:
    make_steps(run, 30)
    with SiteServer() as server:
        open_run(reader, server.url, run)
        server.stop()
        expect(reader.locator("#stream-state")).to_have_text("reconnecting…")
        alter(run, 5, tool_output='"other"', duration_ms=77_000)
        change(run, steps=12)
        change(run, steps=3, status="failed", failure_cause="It was out of memory.")
        server.start()
        expect(reader.locator("#s45")).to_be_attached(timeout=20_000)
        expect_as_anew(reader)


def test_a_page_that_fell_far_behind_gets_the_rest_as_it_is_scrolled(
    reader: Page, run: Run
) -> None:
    make_steps(run, 30)
    with SiteServer() as server:
        open_run(reader, server.url, run)
        server.stop()
        alter(run, 5, tool_output='"other"', duration_ms=77_000)
        change(run, steps=470)
        server.start()
        expect(reader.locator("#s200")).to_be_attached(timeout=20_000)
        expect(reader.locator("#s5 .when")).to_contain_text("1:17")
        assert reader.locator("#steps > li[data-version]").count() < 300
        for place in (300, 400, 500):
            reader.locator("#steps > li").last.scroll_into_view_if_needed()
            expect(reader.locator(f"#s{place}")).to_be_attached(timeout=30_000)
        places = reader.locator("#steps > li[data-version] > a.n").all_text_contents()
        assert places == [str(place) for place in range(1, 501)]
        change(run, steps=1)
        expect(reader.locator("#s501")).to_be_attached()


def test_a_step_that_changes_while_its_window_is_on_its_way_is_shown_as_it_is(
    reader: Page, site: str, run: Run
) -> None:
    make_steps(run, 150)
    Run.objects.filter(pk=run.pk).update(step_count=150)
    answers: list[Route] = []
    reader.route("**/*after=100*", lambda route: answers.append(route), times=1)
    open_run(reader, site, run, "?at=1")
    reader.locator("#steps > li.turn.later").scroll_into_view_if_needed()
    wait_for(reader, answers, 1)
    early = answers[0].fetch()
    alter(run, 120, duration_ms=77_000)
    alter(run, 5, duration_ms=77_000)
    expect(reader.locator("#s5 .when")).to_contain_text("1:17")
    answers[0].fulfill(response=early)
    expect(reader.locator("#s120 .when")).to_contain_text("1:17")


def test_a_page_behind_a_proxy_that_lets_no_stream_through_polls(
    reader: Page, site: str, run: Run
) -> None:
    def refuse(route: Route) -> None:
        if "text/event-stream" in route.request.headers.get("accept", ""):
            route.abort()
        else:
            route.continue_()

    reader.route("**/live/**", refuse)
    reader.goto(f"{site}/runs/{run.run_id}/")
    expect(reader.locator("#stream-state")).to_contain_text("asking every 5 s", timeout=20_000)
    change(run, steps=3)
    expect(reader.locator("#s3")).to_be_visible(timeout=15_000)
    past = timezone.now() - dt.timedelta(hours=1)
    Poll.objects.filter(run=run).update(due_at=None, last_ok_at=past)
    change(run, status="completed")
    expect(reader.locator("#run-head .status")).to_have_text("completed", timeout=15_000)
    expect(reader.locator("#stream-state")).to_have_text("")


def test_when_the_run_is_over_the_page_asks_no_more(reader: Page, site: str, run: Run) -> None:
    open_run(reader, site, run)
    Poll.objects.filter(run=run).update(due_at=None)
    change(run, steps=1, status="completed")
    expect(reader.locator("#stream-state")).to_have_text("")
    expect(reader.locator("#s1")).to_be_visible()
    expect(reader.locator("#run-fresh")).to_contain_text("final")
    asked: list[str] = []
    reader.on("request", lambda request: asked.append(request.url))
    reader.wait_for_timeout(3_000)
    assert asked == []
    reader.reload()
    expect(reader.locator("[sse-connect]")).to_have_count(0)


# Lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?all", "?status=queued&sort=steps"])
def test_a_list_without_rows_shows_by_itself_what_comes(
    reader: Page, site: str, query: str
) -> None:
    reader.goto(f"{site}/runs/{query}")
    expect(reader.locator("#results .empty")).to_be_visible()
    entries = reader.evaluate("history.length")
    if "status" in query:
        with reader.expect_response(lambda answer: answer.url == f"{site}/runs/{query}"):
            make_run("failed", run_id="run_that_no_filter_lets_through")
        expect(reader.locator("#arrivals")).to_be_empty()
    run = make_run("queued", run_id="run_first")
    expect(reader.locator("tr[data-version]")).to_have_count(1)
    change(run, status="running")
    expect(reader.locator(f"#run-{run.pk} .status")).to_have_text("running")
    assert reader.evaluate("history.length") == entries
    expect(reader).to_have_url(f"{site}/runs/{query}")


def test_rows_move_in_place_and_later_runs_are_counted(reader: Page, site: str, run: Run) -> None:
    other = make_run("running", run_id="run_other")
    reader.goto(f"{site}/runs/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    link = reader.locator(f"#run-{other.pk} a").first
    link.focus()
    change(run, status="failed", step_count=7)
    change(other, step_count=88)
    expect(reader.locator(f"#run-{run.pk} .status")).to_have_text("failed")
    expect(reader.locator(f"#run-{other.pk} .steps")).to_have_text("88")
    expect(link).to_be_focused()
    make_run("queued", run_id="run_later")
    make_run("queued", run_id="run_latest")
    expect(reader.locator("#arrivals")).to_contain_text("2 new runs")
    reader.locator("#arrivals a").click()
    expect(reader.locator("#results")).to_contain_text("run")
    expect(reader.locator("tr[data-version]")).to_have_count(4)
