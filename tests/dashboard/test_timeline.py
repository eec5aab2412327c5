"""The timeline of a run: windows, filters, pairs, gaps, and what one line says."""

import datetime as dt
import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import timeline
from runs import outlines
from runs.models import Revision, Run, Step
from tests.factories import make_run, make_steps

pytestmark = pytest.mark.django_db


def get(client: Client, run: Run, query: str = "", **headers: str) -> str:
    response = client.get(f"/runs/{run.run_id}/{query}", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def shown(page: str) -> list[int]:
    """Positions of the steps of a page, in order."""
    return [int(at) for at in re.findall(r'<li id="s(\d+)', page)]


def line(page: str, position: int | str) -> str:
    """The markup of one step."""
    found = re.search(rf'<li id="s{position}".*?</li>', page, re.DOTALL)
    assert found, f"no step {position}"
    return found[0]


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def turn(page: str, way: str) -> str:
    """The address of the next part, "earlier" or "later"; "" if there is none."""
    found = re.search(rf'<li class="turn {way}".*?</li>', page, re.DOTALL)
    address = re.search(r'hx-get="([^"]+)"', found[0]) if found else None
    return html.unescape(address[1]) if address else ""


def call(
    run: Run, tool: str = "bash", given: Any = None, output: Any = None, **fields: Any
) -> Step:
    given = {"command": "casedev vault list"} if given is None else given
    values = {
        "type": "tool_call",
        "content": None,
        "tool_name": tool,
        "tool_input": json.dumps(given),
        "tool_output": None if output is None else json.dumps(output),
    }
    return make_steps(run, 1, **(values | fields))[0]


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


# One line ------------------------------------------------------------------------------------


def test_thinking_is_folded_and_labelled_as_the_models_own_notes(viewer_client):
    run = make_run()
    make_steps(run, 1, type="thinking", content="The MSA is the likely source.")
    step = line(get(viewer_client, run), 1)
    assert "the model’s own notes" in step
    assert "<details>" in step
    assert '<div hx-disable class="notes" dir="auto">The MSA is the likely source.</div>' in step


def test_what_the_agent_said_is_prose_and_a_long_one_unfolds(viewer_client):
    run = make_run()
    make_steps(run, 1, type="output", content="Found 12 passages.\nTwo matter.")
    long = "First paragraph.\n\n" + "More words. " * 300 + "The end."
    make_steps(run, 1, type="output", content=long)
    make_steps(run, 1, type="output", content="y" * 9_000 + "THE-END")
    page = get(viewer_client, run)
    assert 'class="say" dir="auto">Found 12 passages.\nTwo matter.</div>' in line(page, 1)
    assert "The end." in line(page, 2)
    assert "The rest" in words(line(page, 2))
    assert "THE-END" not in line(page, 3)
    assert "All of it, 9.0 kB" in words(line(page, 3))


def test_a_call_is_captioned_and_its_payload_comes_when_it_is_opened(viewer_client):
    run = make_run()
    call(
        run,
        given={"command": 'casedev vault search --id v1 --query "laches"'},
        output=json.dumps({"chunks": [{"text": "SECRET"}] * 3}),
        duration_ms=1_840,
    )
    step = line(get(viewer_client, run), 1)
    assert "Searched v1 for “laches”: 3 passages" in words(step)
    assert "1.8 s" in step
    assert "SECRET" not in step
    address = f"/runs/{run.run_id}/steps/1/"
    assert f'hx-get="{address}" hx-trigger="toggle once, again"' in step
    assert f'<a href="{address}">' in step


def test_a_failed_call_stands_out_with_its_reason(viewer_client):
    run = make_run()
    call(run, given={"command": "casedev vault get --id v9"}, output="Error: no such vault")
    step = line(get(viewer_client, run), 1)
    assert 'class="tool failed"' in step
    assert "Tried to look up vault v9 : “no such vault”" in words(step)


def test_what_is_no_use_of_a_tool_cannot_fail(viewer_client):
    run = make_run()
    make_steps(run, 1, type="thinking", tool_output=json.dumps("Error: no such vault"))
    assert "Failed" not in words(get(viewer_client, run))


def test_a_call_at_work_says_since_when(viewer_client):
    run = make_run("running")
    since = timezone.now() - dt.timedelta(seconds=47)
    call(run, "write", {"filePath": "/workspace/memo.md"}, duration_ms=None, timestamp=since)
    step = line(get(viewer_client, run), 1)
    assert 'class="tool running"' in step
    assert re.search(rf"Writing memo.md since {since:%H:%M:%S} 4[78] s", words(step))
    assert "data-since=" in step


def test_a_call_that_others_followed_is_not_at_work(viewer_client):
    run = make_run("running")
    call(run, output=None, duration_ms=None)
    make_steps(run, 1, type="output", content="Went on.")
    step = line(get(viewer_client, run), 1)
    assert "no outcome was told" in step
    assert "running" not in step


def test_a_call_without_outcome_in_an_ended_run_is_not_said_to_be_done(viewer_client):
    run = make_run("failed")
    call(run, given={"command": "sleep 9999"}, output=None, duration_ms=None)
    step = words(line(get(viewer_client, run), 1))
    assert "Running sleep 9999 no outcome was told" in step


def test_a_result_is_paired_with_its_call_and_linked_both_ways(viewer_client):
    run = make_run()
    call(run, "grep", {"pattern": "force"}, output=None, duration_ms=None)
    make_steps(run, 1, type="thinking")
    result = {"type": "tool_result", "tool_name": "grep", "content": None, "tool_input": None}
    make_steps(run, 1, tool_output=json.dumps("Found 6 matches"), **result)
    page = get(viewer_client, run)
    assert '<a class="pair" href="#s3">answered in step 3</a>' in line(page, 1)
    assert '<a class="pair" href="#s1">answers step 1</a>' in line(page, 3)
    assert "Result of step 1, grep" in words(line(page, 3))
    opened = viewer_client.get(f"/runs/{run.run_id}/steps/1/", headers={"HX-Request": "true"})
    assert "Found 6 matches" in opened.content.decode()


def test_a_failed_result_marks_its_call(viewer_client):
    run = make_run()
    call(run, output=None, duration_ms=None)
    result = {"type": "tool_result", "tool_name": "bash", "content": None, "tool_input": None}
    make_steps(run, 1, tool_output=json.dumps("Error: no such vault"), **result)
    assert 'class="tool failed"' in line(get(viewer_client, run), 1)


def test_the_gap_to_the_step_before_is_told_from_a_second_on(viewer_client):
    start = timezone.now()
    run = make_run(started_at=start)
    times = [0.0, 5.0, 5.5, 20.0]
    for seconds in times:
        make_steps(
            run,
            1,
            type="output",
            timestamp=start + dt.timedelta(seconds=seconds),
            duration_ms=1_000 if seconds == 5.5 else None,
        )
    page = get(viewer_client, run)
    gaps = [re.findall(r'class="gap"[^>]*>\+([^<]+)<', line(page, at)) for at in (1, 2, 3, 4)]
    assert gaps == [[], ["5.0 s"], [], ["14 s"]]


def test_a_step_of_an_unknown_type_is_shown_and_flagged(viewer_client):
    run = make_run()
    make_steps(run, 1, type="musing", content="Nobody knows this type.")
    make_steps(run, 1, type="", content=None)
    page = get(viewer_client, run)
    assert "A step of type musing unknown type" in words(line(page, 1))
    assert "Nobody knows this type." in line(page, 1)
    assert "no type reported" in words(line(page, 2))


def test_a_step_without_a_time_has_none(viewer_client):
    run = make_run()
    make_steps(run, 2, timestamp=None)
    page = get(viewer_client, run)
    assert "no time" in line(page, 1)
    assert "no times reported: in order, not to scale" in words(page)


def test_a_vanished_step_stays_where_it_was_and_says_so(viewer_client):
    run = make_run()
    make_steps(run, 3)
    gone = run.steps.get(position=2)
    Step.objects.filter(pk=gone.pk).update(vanished_at=timezone.now())
    moved = run.steps.get(position=3)
    Step.objects.filter(pk=moved.pk).update(position=2)
    Run.objects.filter(pk=run.pk).update(step_count=2, version=2)
    outlines.rebuild(run)
    page = get(viewer_client, run)
    assert shown(page) == [1, 2, 2]
    assert "no longer reported since" in words(line(page, f"2-was-{gone.pk}"))
    assert "No longer reported 1" in words(page)
    assert shown(get(viewer_client, run, "?gone=1")) == [2]


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


def test_a_step_that_was_changed_later_says_so(viewer_client):
    run = make_run()
    make_steps(run, 2)
    Revision.objects.create(
        run=run,
        of="step",
        position=1,
        replaced_version=1,
        replaced_at=timezone.now(),
        body=json.dumps({"content": "What it said before"}),
    )
    page = get(viewer_client, run)
    assert "changed later" in line(page, 1)
    assert "changed later" not in line(page, 2)


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
