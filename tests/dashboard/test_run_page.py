"""What stands above the tabs of a run, and the tabs themselves but for the timeline."""

import datetime as dt
import html
import json
import re
import zlib

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs import breaker
from runs.models import Payload, Run, UsageEntry
from tests.factories import make_agent, make_entries, make_poll, make_run, make_steps

pytestmark = pytest.mark.django_db
TABS = ("", "cost/", "result/", "logs/")
PARTS = ("text/prompt/", "logs/1/", "cost/1/metadata/", "steps/1/input/")


def markup(client: Client, run: Run, tab: str = "", status: int = 200) -> str:
    response = client.get(f"/runs/{run.run_id}/{tab}")
    assert response.status_code == status
    return response.content.decode()


def words(client: Client, run: Run, tab: str = "", status: int = 200) -> str:
    """The page as a reader sees it, on one line."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", markup(client, run, tab, status)))
    return " ".join(text.split())


def piece(page: str, element: str) -> str:
    """From the element with this id to the end of the page's main part."""
    return page[page.index(f'id="{element}"') :]


# Doors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", [*TABS, "raw/", "steps/1/", *PARTS])
def test_a_stranger_is_led_to_the_login(client, tab):
    run = make_run()
    make_steps(run, 3)
    response = client.get(f"/runs/{run.run_id}/{tab}")
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=/runs/")


@pytest.mark.parametrize("tab", [*TABS, "raw/", "steps/1/", *PARTS])
def test_an_unknown_run_leads_on_to_others(viewer_client, tab):
    response = viewer_client.get(f"/runs/run_unknown/{tab}")
    assert response.status_code == 404
    page = response.content.decode()
    assert "run_unknown" in page
    assert 'href="/runs/"' in piece(page, "main")


def test_a_member_may_have_case_dev_asked_for_an_unknown_run(member_client, viewer_client):
    page = member_client.get("/runs/run_unknown/").content.decode()
    assert '<input type="hidden" name="run" value="run_unknown">' in page
    assert "Look for it" not in viewer_client.get("/runs/run_unknown/").content.decode()


@pytest.mark.parametrize("tab", [*TABS, "raw/", "steps/1/", "steps/9/", "text/prompt/"])
def test_no_page_of_a_run_is_kept_by_any_cache(viewer_client, tab):
    run = make_run()
    make_steps(run, 3)
    response = viewer_client.get(f"/runs/{run.run_id}/{tab}")
    assert "no-store" in response["Cache-Control"]
    assert "private" in response["Cache-Control"]


@pytest.mark.parametrize("tab", [*TABS, "raw/", "steps/1/"])
def test_pages_are_only_read(viewer_client, tab):
    assert viewer_client.post(f"/runs/{make_run().run_id}/{tab}").status_code == 405


# Above the tabs ------------------------------------------------------------------------------


def test_the_head_tells_how_the_run_stands(viewer_client):
    make_agent("agent_review", "Contract Reviewer")
    run = make_run(prompt="Review the NDA", total_tokens=48_238, entries_cost_micros=185_100)
    run.step_count, run.tool_call_count, run.tool_calls = 14, 9, 9
    run.save()
    page = words(viewer_client, run)
    for part in (
        "Review the NDA",
        "completed",
        "Contract Reviewer",
        "3:41",
        "14 9 tool calls",
        "48,238",
        "$0.1851 ✓ adds up",
    ):
        assert part in page


def test_counted_and_reported_tool_calls_are_both_told_when_they_differ(viewer_client):
    run = make_run(tool_call_count=9, tool_calls=12)
    assert "9 tool calls, 12 reported" in words(viewer_client, run)


def test_a_difference_is_told_to_the_micro_dollar(viewer_client):
    run = make_run(entries_cost_micros=185_099, summary_cost_micros=185_100)
    assert "≠ entries −$0.000001" in words(viewer_client, run)


def test_a_running_run_counts_on_and_has_a_cost_so_far(viewer_client):
    started = timezone.now() - dt.timedelta(seconds=221)
    page = markup(viewer_client, make_run("running", started_at=started, cost_micros=1_000))
    assert "Cost so far" in page
    assert f'data-since="{started.isoformat().replace("+00:00", "Z")}"' in page


def test_a_failed_run_says_why_and_leads_to_where_it_shows(viewer_client):
    run = make_run("failed", failure_cause="runner: out of memory", issues=["one"], step_count=14)
    page = markup(viewer_client, run)
    assert "runner: out of memory" in page
    assert f'href="/runs/{run.run_id}/?at=14#s14"' in page
    assert f'href="/runs/{run.run_id}/logs/"' in piece(page, "run-head")


def test_a_failure_without_a_cause_is_not_given_one(viewer_client):
    page = words(viewer_client, make_run("failed"))
    assert "Case.dev reports no cause" in page


def test_a_stalled_run_is_labelled_with_its_cause_beside_its_own_status(viewer_client):
    created = timezone.now() - dt.timedelta(minutes=30)
    page = words(viewer_client, make_run("queued", created_at=created))
    assert "stalled" in page
    assert "nobody started it" in page
    assert "queued" in page


def test_contradictions_are_told_in_words_and_none_is_dropped(viewer_client):
    said = [{"text": f"Contradiction {n}.", "at": "2026-11-24T10:00:00+00:00"} for n in range(9)]
    page = words(viewer_client, make_run(contradictions=said))
    assert all(f"Contradiction {n}." in page for n in range(9))


def test_an_answer_that_could_not_be_read_is_told_beside_the_last_good_state(viewer_client):
    seen = timezone.now() - dt.timedelta(minutes=4)
    run = make_run("running", poll_sync_failures=2, poll_last_ok_at=seen)
    Payload.objects.create(
        run=run,
        kind="refused",
        body=zlib.compress(b"<html>"),
        size=6,
        observed_at=timezone.now(),
        error="The answer cannot be read: it is not JSON.",
    )
    page = words(viewer_client, run)
    assert "The answer cannot be read: it is not JSON." in page
    assert f"This page shows the state of {seen:%H:%M:%S}" in page
    raw = viewer_client.get(f"/runs/{run.run_id}/raw/?refused=1")
    assert raw.content == b"<html>"
    assert raw["Content-Disposition"].startswith("attachment")
    assert raw["Content-Type"].startswith("text/plain")


def test_a_status_that_nobody_knows_is_shown_and_flagged(viewer_client):
    page = words(viewer_client, make_run("hibernating"))
    assert "hibernating" in page
    assert "is none that the API's reference names" in page


def test_a_run_known_from_the_list_says_that_its_details_are_to_come(viewer_client):
    run = make_run(
        "running",
        version=0,
        step_count=0,
        poll_last_ok_at=None,
        prompt="p" * 200,
        prompt_is_cut=True,
    )
    page = words(viewer_client, run)
    assert "Details not fetched yet" in page
    assert "the whole comes with the details" in page
    assert "Steps come with the details" in page


def test_a_run_without_a_place_in_the_schedule_has_its_page(viewer_client):
    run = make_run()
    run.poll.delete()
    assert "has no place in the schedule" in words(viewer_client, run)


def test_prompt_and_guidance_of_any_length_are_readable(viewer_client):
    prompt = "Start. " + "word " * 20_000 + "End."
    run = make_run(prompt=prompt, guidance="Line one\nLine two")
    page = markup(viewer_client, run)
    assert "Line one\nLine two" in page
    assert "The first 32,768 of 100,011 characters" in words(viewer_client, run)
    whole = viewer_client.get(f"/runs/{run.run_id}/text/prompt/")
    assert whole.content.decode() == prompt


@pytest.mark.parametrize(
    ("prompt", "told"), [(None, "Prompt none"), ("", "An empty prompt"), ("\n", "")]
)
def test_a_run_without_a_prompt_has_a_page(viewer_client, prompt, told):
    assert told in words(viewer_client, make_run(prompt=prompt))


def test_sharing_is_offered_to_those_who_may(viewer_client, member_client):
    run = make_run()
    address = f'href="/runs/{run.run_id}/share/"'
    assert address in markup(member_client, run)
    assert address not in markup(viewer_client, run)


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


# Raw and downloads ---------------------------------------------------------------------------


def test_the_raw_answer_is_given_as_it_came_and_can_do_nothing(viewer_client):
    run = make_run()
    body = b'{"id":"x","extra":"<script>alert(1)</script>"}'
    Payload.objects.create(
        run=run, body=zlib.compress(body), size=len(body), kind="good", observed_at=timezone.now()
    )
    response = viewer_client.get(f"/runs/{run.run_id}/raw/")
    assert response.content == body
    assert response["Content-Type"] == "application/json"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("raw/", "No answer of Case.dev is kept for this run."),
        ("raw/?refused=1", "No refused answer of Case.dev is kept for this run."),
        ("text/guidance/", "This run has no such text."),
        ("text/failure_cause/", "This run has no such text."),
        ("logs/1/", "This run has no such log."),
        ("cost/7/metadata/", "This entry has no metadata."),
        ("steps/99/", "There is no step 99 in this run."),
        ("steps/1/output/", "Step 1 has no output."),
        ("steps/1/secrets/", "A step has an input, an output and a content."),
    ],
)
def test_what_is_not_there_is_said_in_words_with_a_way_back(viewer_client, path, told):
    run = make_run()
    make_steps(run, 1)
    page = markup(viewer_client, run, path, status=404)
    assert told in page
    assert f'href="/runs/{run.run_id}/"' in page


# Cost of a page ------------------------------------------------------------------------------


# Of these, seven are the frame's of every page: session, user, two for permissions, and three for
# the freshness in the bar and the number of links. Two are the audit log's, one asks whether the
# reader follows the run, and one which labels its steps have.
QUERIES = 23  # whatever the number of steps


@pytest.mark.parametrize("tab", [*TABS, "steps/2/", "?type=thinking", "?at=150"])
def test_a_page_of_a_long_run_takes_few_queries(viewer_client, django_assert_max_num_queries, tab):
    breaker.upstream()  # a row that is made once in the life of an installation
    run = make_run("running")
    make_steps(run, 300)
    make_entries(run, 300)
    with django_assert_max_num_queries(QUERIES):
        markup(viewer_client, run, tab)


def test_big_columns_are_not_read_where_they_are_not_shown(viewer_client):
    run = make_run(output="o" * 50_000, logs=[["runner", "l" * 50_000]])
    with CaptureQueriesContext(connection) as queries:
        markup(viewer_client, run)
    of_run = [query["sql"] for query in queries if 'FROM "runs_run"' in query["sql"]]
    assert len(of_run) == 1
    assert '"runs_run"."output"' not in of_run[0]
    assert '"runs_run"."logs"' not in of_run[0]


def test_a_poll_of_another_run_is_never_shown(viewer_client):
    first, second = make_run("running"), make_run()
    second.poll.delete()
    make_poll(second, last_error="of the second", failures=1)
    assert "of the second" not in words(viewer_client, first)
    assert "of the second" in words(viewer_client, second)
