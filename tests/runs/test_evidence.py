"""Why a run may have failed: what is found, in which order, and where it stands."""

import datetime as dt
import json

import pytest
from django.test import Client

from runs import evidence, outlines
from runs.evidence import Clue
from runs.models import Run, Step
from tests.factories import make_entries, make_run, make_steps

pytestmark = pytest.mark.django_db


def clues(run: Run) -> list[Clue]:
    return evidence.clues(run, outlines.of(run))


def test_the_whole_record_is_searched_and_each_clue_says_where_it_stands() -> None:
    run = make_run(
        "failed",
        issues=["Two exhibits had\n no text", " ", "b", "c", "d"],
        logs=[["runner", "fine\nError: out of space\n"], ["server", "all well"]],
        runtime_state="error",
    )
    make_steps(run, 2)
    make_entries(run, 2)
    run.entries.filter(position=2).update(status_code=503)
    failing, waiting = make_steps(run, 2, type=Step.Type.TOOL_CALL)
    bad = json.dumps("bash: casedevv: command not found")
    run.steps.filter(pk=failing.pk).update(tool_output=bad, failed=True)
    run.steps.filter(pk=waiting.pk).update(tool_output=None, unanswered=True)
    found = clues(run)
    assert found == [
        Clue("Issue 1", "", "Two exhibits had no text", "result"),
        Clue("Issue 3", "", "b", "result"),
        Clue("Issue 4", "", "c", "result"),
        Clue("Issues", "1 more are named.", "", "result"),
        Clue("Log runner", "", "Error: out of space", "logs", 1),
        Clue("Runtime", "It ended in the state “error”.", "", "timeline"),
        Clue(
            "Entry 2",
            "A call of vault was answered 503.",
            "POST /vault/vault_xyz/search",
            "cost",
            2,
        ),
        Clue("Step 3", "bash failed.", found[7].said, "timeline", 3),
        Clue("Step 4", "bash never answered.", "", "timeline", 4),
        Clue("Step 1", "The last thing that the agent said:", "Said in step 1.", "timeline", 1),
    ]
    assert "command not found" in found[7].said


def test_the_end_of_the_sandbox_is_a_clue() -> None:
    start = dt.datetime(2026, 11, 2, 10, 0, tzinfo=dt.UTC)
    end = start + dt.timedelta(minutes=30, seconds=9)
    run = make_run("failed", started_at=start, completed_at=end, step_count=0)
    assert [clue.where for clue in clues(run)] == ["Time"]


def test_logs_too_long_to_be_searched_say_so() -> None:
    run = make_run("failed", logs=[["runner", "x" * evidence.SEARCHED]], step_count=0)
    (clue,) = clues(run)
    assert (clue.where, clue.fact) == ("Logs", "They are too long to be searched here.")


def test_a_run_that_did_not_fail_needs_no_explanation() -> None:
    assert clues(make_run("completed", issues=["x"])) == []


def test_the_page_quotes_and_links_what_was_found(viewer_client: Client) -> None:
    run = make_run("failed", issues=["<b>No text</b>"], logs=[["runner", "fatal: gone"]])
    make_steps(run, 3)
    html = viewer_client.get(f"/runs/{run.run_id}/").content.decode()
    assert "Why it failed: what the record holds" in html
    assert "none of them need be the cause" in html
    assert "&lt;b&gt;No text&lt;/b&gt;" in html
    assert "<b>No text" not in html
    assert f'href="/runs/{run.run_id}/result/"' in html
    assert f'href="/runs/{run.run_id}/logs/#log-1"' in html
    assert f'href="/runs/{run.run_id}/?at=3#s3"' in html


def test_the_page_says_what_does_not_agree(viewer_client: Client) -> None:
    run = make_run("completed", duration_ms=1_000)
    make_steps(run, 2)
    run.steps.filter(position=2).update(tool_output=None, unanswered=True)
    outlines.rebuild(run)
    html = viewer_client.get(f"/runs/{run.run_id}/").content.decode()
    assert "Its usage tells of 1 s, its start and end of 221 s." in html
    assert "The run completed, but 1 tool call has no answer." in html
    assert "Why it failed" not in html


def test_a_page_about_a_status_that_went_back_says_so() -> None:
    from django.utils import timezone

    from runs import sync
    from tests.runs.answers import details

    run = make_run("running", version=0, step_count=0)
    for status in ("running", "queued"):
        sync.apply(run, details(id=run.run_id, status=status), timezone.now())
    assert "Case.dev said queued after running." in [one["text"] for one in run.contradictions]
    assert run.status == "queued"
