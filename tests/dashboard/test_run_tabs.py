"""The tabs of a run but for its timeline: cost, result and logs."""

import json
import re

import pytest
from django.utils import timezone

from runs.models import Run, UsageEntry
from tests.dashboard.run_pages import markup, piece, words
from tests.factories import make_entries, make_run

pytestmark = pytest.mark.django_db

# Cost ----------------------------------------------------------------------------------------


def test_entries_and_summary_are_reconciled_in_words(viewer_client):
    run = make_run(summary_cost_micros=3_000)
    make_entries(run, 3)
    assert "✓ The entries add up to the summary, to the micro-dollar." in words(
        viewer_client, run, "cost/"
    )
    Run.objects.filter(pk=run.pk).update(summary_cost_micros=2_000, version=2)
    page = words(viewer_client, run, "cost/")
    assert "The entries sum to $0.003000, $0.001000 more than the summary says." in page
    Run.objects.filter(pk=run.pk).update(summary_cost_micros=3_500, version=3)
    assert "$0.000500 less than the summary says." in words(viewer_client, run, "cost/")


def test_costs_without_a_summary_or_without_entries_are_not_compared(viewer_client):
    run = make_run(summary_cost_micros=None)
    make_entries(run, 2)
    assert "Case.dev reported no summary to check the entries against" in words(
        viewer_client, run, "cost/"
    )
    alone = make_run(summary_cost_micros=500)
    page = words(viewer_client, alone, "cost/")
    assert "no entries that could be checked against the summary" in page
    assert "Entries not reported" in page


def test_an_empty_list_of_entries_is_not_the_same_as_none(viewer_client):
    page = words(viewer_client, make_run(entry_count=0), "cost/")
    assert "Case.dev reported an empty list" in page


def test_failed_calls_are_marked_by_a_word(viewer_client):
    run = make_run()
    make_entries(run, 2, status_code=502)
    page = words(viewer_client, run, "cost/")
    assert "✕ 502 error" in page
    assert "2 of them failed calls" in page


def test_subtotals_stand_by_kind_service_endpoint_and_model(viewer_client):
    run = make_run()
    make_entries(run, 4)
    page = words(viewer_client, run, "cost/")
    for heading in ("By kind", "By service", "By endpoint", "By model"):
        assert heading in page
    assert "/llm/v1/chat/completions 2 2,000 $0.0020" in page


def test_the_running_total_is_drawn_and_told_in_numbers(viewer_client):
    run = make_run()
    make_entries(run, 3)
    page = markup(viewer_client, run, "cost/")
    assert '<path class="line" d="M0 160' in page
    assert "$0.003000" in piece(page, "cost-totals").split("As numbers")[1]


def test_each_table_that_can_be_scrolled_has_its_own_name(viewer_client):
    run = make_run()
    make_entries(run, 3)
    totals = piece(markup(viewer_client, run, "cost/"), "cost-totals")
    totals = totals.split('id="cost-entries"')[0]
    names = re.findall(r'role="region" aria-label="([^"]*)"', totals)
    assert names == [
        *("Summary against entries", "Running total in figures"),
        *("By kind", "By service", "By endpoint", "By model"),
    ]


def test_many_entries_come_in_windows_that_lose_none(viewer_client):
    run = make_run()
    make_entries(run, 620)
    seen: list[int] = []
    at = ""
    for _ in range(5):
        page = markup(viewer_client, run, f"cost/{at}")
        seen += map(int, re.findall(r'<tr id="e(\d+)"', page))
        following = re.search(r'href="[^"]*(\?at=\d+)#cost-entries">Entries from', page)
        if not following:
            break
        at = following[1]
    assert seen == list(range(1, 621))
    assert "501 to 620 of 620" in words(viewer_client, run, "cost/?at=610")


def test_an_entry_that_vanished_is_shown_and_in_no_sum(viewer_client):
    run = make_run(summary_cost_micros=2_000)
    make_entries(run, 3)
    UsageEntry.objects.filter(run=run, position=3).update(vanished_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(entry_count=2, entries_cost_micros=2_000, version=2)
    page = words(viewer_client, run, "cost/")
    assert "no longer reported, in no sum" in page
    assert "in 2 usage entries" in page
    assert "✓ The entries add up" in page


def test_metadata_unfolds_and_is_there_in_full(viewer_client):
    run = make_run()
    sent = json.dumps({"requestId": "req_1", "note": "x" * 9_000})
    make_entries(run, 1, metadata=sent)
    page = markup(viewer_client, run, "cost/")
    assert "<b>requestId</b>" in page
    assert "All of it, 9.0 kB" in page
    whole = viewer_client.get(f"/runs/{run.run_id}/cost/1/metadata/")
    assert whole.content.decode() == sent


def test_tokens_beyond_the_runs_own_calls_are_explained(viewer_client):
    run = make_run(input_tokens=100, total_input_tokens=900)
    page = words(viewer_client, run, "cost/")
    assert "it also holds what the agent’s tools used under the run’s key" in page


# Result and logs -----------------------------------------------------------------------------


def test_the_output_is_formatted_or_as_it_was_written(viewer_client):
    run = make_run(output="# Memo\n\n**Do not sign.**")
    assert "<strong>Do not sign.</strong>" in markup(viewer_client, run, "result/")
    as_text = markup(viewer_client, run, "result/?as=text")
    assert "**Do not sign.**</pre>" in as_text
    assert "<strong>" not in piece(as_text, "run-result")


def test_an_output_too_long_to_format_is_text_with_the_reason_and_a_download(viewer_client):
    output = "paragraph\n\n" * 7_000
    run = make_run(output=output)
    page = words(viewer_client, run, "result/")
    assert "Shown as text, not formatted: it is longer than 64 kB" in page
    assert "The first 32,768 of 77,000 characters" in page
    download = viewer_client.get(f"/runs/{run.run_id}/text/output/")
    assert download.content.decode() == output
    assert download["Content-Disposition"].startswith("attachment")


def test_summary_issues_and_objects_are_told(viewer_client):
    run = make_run(
        summary="Two clauses to reject.",
        issues=["Exhibit A was missing", "OCR failed"],
        created_object_ids=["obj_memo"],
        output_object_ids=[],
    )
    page = words(viewer_client, run, "result/")
    for part in ("Two clauses to reject.", "Exhibit A was missing", "OCR failed", "obj_memo"):
        assert part in page
    assert "Output objects empty" in page


def test_a_run_that_goes_on_has_no_result_yet(viewer_client):
    assert "No result yet" in words(viewer_client, make_run("running"), "result/")
    assert "No logs yet" in words(viewer_client, make_run("running"), "logs/")


def test_a_long_log_shows_its_beginning_and_its_end_and_counts_the_rest(viewer_client):
    text = "".join(f"line {n:05}\n" for n in range(20_000))
    run = make_run(logs=[["runner", text], ["empty", ""], ["null", None]])
    page = words(viewer_client, run, "logs/")
    assert "220.0 kB · 20,000 lines" in page
    assert "line 00000" in page
    assert "line 19999" in page
    assert "line 10000" not in page
    left_out = re.search(r"([\d,]+) characters left out here", page)
    assert left_out
    assert viewer_client.get(f"/runs/{run.run_id}/logs/1/").content.decode() == text


def test_logs_have_their_escapes_named(viewer_client):
    run = make_run(logs=[["runner", "\x1b[32mok\x1b[0m \x1b]0;title\x07"]])
    page = words(viewer_client, run, "logs/")
    assert "‹ESC› ok" in page
    assert "\x1b" not in markup(viewer_client, run, "logs/")
