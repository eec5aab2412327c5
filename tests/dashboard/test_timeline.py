"""The timeline of a run: its windows, its filters, and the run in time."""

import html
import re

import pytest
from django.utils import timezone

from dashboard import timeline
from runs import outlines
from runs.models import Run, Step
from tests.dashboard.timelines import call, get, line, shown, turn
from tests.factories import make_run, make_steps
from tests.markup import words

pytestmark = pytest.mark.django_db

# Windows -------------------------------------------------------------------------------------


def test_a_short_run_is_all_on_its_page(viewer_client):
    run = make_run()
    make_steps(run, 20)
    page = get(viewer_client, run)
    assert shown(page) == list(range(1, 21))
    assert 'data-last="20" data-complete="yes"' in page
    assert 'href="#s12"' in line(page, 12)
    assert turn(page, "earlier") == turn(page, "later") == ""


def test_an_ended_run_opens_at_its_head_and_a_running_one_at_its_tail(viewer_client):
    ended, running = make_run(), make_run("running")
    for run in (ended, running):
        make_steps(run, 250)
    assert shown(get(viewer_client, ended)) == list(range(1, 101))
    page = get(viewer_client, running)
    assert shown(page) == list(range(151, 251))
    assert 'data-complete="yes"' in page
    assert 'data-complete="no"' in get(viewer_client, ended)


def test_following_the_turns_down_shows_every_step_once(viewer_client):
    run = make_run()
    make_steps(run, 437)
    page = get(viewer_client, run)
    seen = shown(page)
    while address := turn(page, "later"):
        response = viewer_client.get(address, headers={"HX-Request": "true"})
        page = response.content.decode()
        assert "<html" not in page
        seen += shown(page)
    assert seen == list(range(1, 438))


def test_following_the_turns_up_shows_every_step_once(viewer_client):
    run = make_run("running")
    make_steps(run, 437)
    page = get(viewer_client, run)
    seen = shown(page)
    while address := turn(page, "earlier"):
        page = viewer_client.get(address, headers={"HX-Request": "true"}).content.decode()
        seen = shown(page) + seen
    assert seen == list(range(1, 438))


def test_without_a_script_the_links_of_the_turns_lead_through_all_steps(viewer_client):
    run = make_run()
    make_steps(run, 250)
    seen = set(shown(get(viewer_client, run)))
    query = ""
    for _ in range(5):
        page = get(viewer_client, run, query)
        seen |= set(shown(page))
        found = re.search(r'<li class="turn later".*?<a href="[^"?]*(\?[^"]+)"', page, re.DOTALL)
        if not found:
            break
        query = html.unescape(found[1])
    assert seen == set(range(1, 251))


@pytest.mark.parametrize("at", [1, 31, 150, 249, 250])
def test_an_address_with_a_position_opens_the_window_around_it(viewer_client, at):
    run = make_run()
    make_steps(run, 250)
    positions = shown(get(viewer_client, run, f"?at={at}"))
    assert at in positions
    assert len(positions) == 100


@pytest.mark.parametrize(
    "query",
    [
        "?at=0",
        "?at=99999",
        "?at=-1",
        "?at=x",
        "?at=1e3",
        "?at=" + "9" * 400,
        "?after=x",
        "?at=",
        "?at=²",
    ],
)
def test_a_position_that_cannot_be_shows_what_there_is(viewer_client, query):
    run = make_run()
    make_steps(run, 5)
    assert shown(get(viewer_client, run, query)) == [1, 2, 3, 4, 5]


def test_going_to_a_step_by_its_number_lands_on_it(viewer_client):
    run = make_run()
    make_steps(run, 250)
    response = viewer_client.get(f"/runs/{run.run_id}/?go=1&at=170")
    assert response["Location"] == f"/runs/{run.run_id}/?at=170#s170"


def test_the_number_of_a_step_is_a_lasting_address(viewer_client):
    run = make_run()
    make_steps(run, 250)
    page = get(viewer_client, run)
    assert f'href="/runs/{run.run_id}/?at=12#s12"' in line(page, 12)


def test_a_run_without_steps_says_what_is_to_come(viewer_client):
    cases = {
        "running": "No steps yet",
        "queued": "Not started",
        "completed": "Case.dev reported none for this run",
    }
    for status, told in cases.items():
        page = words(get(viewer_client, make_run(status, step_count=0)))
        assert told in page


def test_steps_that_share_a_place_are_not_lost_between_windows(viewer_client):
    run = make_run()
    make_steps(run, 250)
    for position in (100, 101):
        Step.objects.create(
            run=run, position=position, vanished_at=timezone.now(), changed_version=1
        )
    outlines.rebuild(run)
    page = get(viewer_client, run)
    seen = shown(page)
    while address := turn(page, "later"):
        page = viewer_client.get(address, headers={"HX-Request": "true"}).content.decode()
        seen += shown(page)
    assert seen == sorted([*range(1, 251), 100, 101])


# Filters -------------------------------------------------------------------------------------


@pytest.fixture
def mixed(db) -> Run:
    run = make_run()
    make_steps(run, 3)  # thinking, bash, output
    call(run, "read", {"filePath": "/a"}, "text")
    call(run, "bash", output="Error: unknown flag: --vault")
    make_steps(run, 1, type="musing", content="Hm.")
    return run


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("?type=tool_call", [2, 4, 5]),
        ("?type=tool_call&type=thinking", [1, 2, 4, 5]),
        ("?tool=bash", [2, 5]),
        ("?tool=bash&type=thinking", []),
        ("?failed=1", [5]),
        ("?type=musing", [6]),
        ("?type=unheard-of", []),
        ("?tool=" + "x" * 500, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_steps_are_filtered_by_type_tool_and_failure(viewer_client, mixed, query, positions):
    page = get(viewer_client, mixed, query)
    assert shown(page) == positions
    if "x" * 500 not in query:
        assert f"{len(positions)} of 6 steps match" in words(page)
        assert 'data-complete="no"' in page


def test_each_filter_is_a_link_that_tells_how_many_it_finds(viewer_client, mixed):
    page = get(viewer_client, mixed)
    filters = words(page[page.index('id="step-filters"') : page.index('id="steps"')])
    for choice in ("All 6", "Thinking 1", "Output 1", "Tool calls 3", "musing 1", "Failed 1"):
        assert choice in filters
    assert "bash 2" in filters
    assert 'href="/runs/' + mixed.run_id + '/?type=thinking"' in page


def test_a_filter_is_dropped_by_the_same_link(viewer_client, mixed):
    page = get(viewer_client, mixed, "?type=thinking&tool=bash")
    filters = page[page.index('id="step-filters"') : page.index('id="steps"')]
    chosen = re.findall(r'<a href="([^"]+)" aria-current="true">', filters)
    addresses = {html.unescape(address).partition("?")[2] for address in chosen}
    assert addresses == {"tool=bash", "type=thinking"}


def test_filtered_steps_come_in_windows_too(viewer_client):
    run = make_run()
    make_steps(run, 600)
    page = get(viewer_client, run, "?type=thinking")
    seen = shown(page)
    while address := turn(page, "later"):
        assert "type=thinking" in address
        page = viewer_client.get(address, headers={"HX-Request": "true"}).content.decode()
        seen += shown(page)
    assert seen == list(range(1, 600, 3))


def test_many_tools_are_folded_and_none_is_lost(viewer_client):
    run = make_run()
    for number in range(15):
        call(run, f"tool_{number}", output="ok")
    page = words(get(viewer_client, run))
    assert "5 more tools" in page
    assert all(f"tool_{number} 1" in page for number in range(15))


# The run in time -----------------------------------------------------------------------------


def test_each_bar_is_a_link_to_its_step_and_names_it(viewer_client):
    run = make_run()
    make_steps(run, 20)
    page = get(viewer_client, run)
    strip = page[page.index('id="run-strip"') : page.index("</svg>", page.index('id="run-strip"'))]
    assert re.findall(r'<a href="#s(\d+)"', strip) == [str(n) for n in range(1, 21)]
    assert "<title>Step 12</title>" in strip
    assert "style=" not in strip


def test_the_picture_of_a_long_run_stays_small_and_leads_to_its_windows(viewer_client):
    run = make_run()
    make_steps(run, 3_000)
    page = get(viewer_client, run)
    strip = page[page.index('id="run-strip"') : page.index("</svg>", page.index('id="run-strip"'))]
    assert strip.count("<a ") <= 120
    assert f'href="/runs/{run.run_id}/?at=' in strip
    assert page.count("<") - page.count("</") < 2_000


# What live pages ask -------------------------------------------------------------------------


def test_changed_steps_are_those_since_a_version_and_what_turns_with_them(db):
    run = make_run("running")
    make_steps(run, 3)
    call(run, "grep", {"pattern": "x"}, output=None, duration_ms=None)
    run.version = 2
    run.save(update_fields=["version"])
    result = {"type": "tool_result", "tool_name": "grep", "content": None, "tool_input": None}
    make_steps(run, 1, tool_output='"done"', **result)
    changed = timeline.changed_steps(run, since=1, at_most=100)
    assert [(step.position, step.partner) for step in changed] == [(4, 5), (5, 4)]
