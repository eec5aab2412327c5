"""What one line of a timeline says: prose, calls and their outcomes, gaps, later changes."""

import datetime as dt
import json
import re

import pytest
from django.utils import timezone

from runs import outlines
from runs.models import Revision, Run, Step
from tests.dashboard.timelines import call, get, line, shown
from tests.factories import make_run, make_steps
from tests.markup import words

pytestmark = pytest.mark.django_db


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
