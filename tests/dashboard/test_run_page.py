"""Who may see the pages of a run, what stands above its tabs, and what it gives to download."""

import datetime as dt
import zlib

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs import breaker
from runs.models import Payload
from tests.dashboard.run_pages import markup, piece, words
from tests.factories import make_agent, make_entries, make_poll, make_run, make_steps

pytestmark = pytest.mark.django_db
TABS = ("", "cost/", "result/", "logs/")
PARTS = ("text/prompt/", "logs/1/", "cost/1/metadata/", "steps/1/input/")

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


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_of_a_run_known_from_the_list_no_page_says_what_case_dev_did_not_report(
    viewer_client, status
):
    nothing = dict.fromkeys(
        ("cost_micros", "summary_cost_micros", "input_tokens", "output_tokens", "usage_model")
    )
    run = make_run(
        status, version=0, step_count=0, tool_call_count=0, poll_last_ok_at=None, **nothing
    )
    for tab in ("", "read/", "cost/", "result/", "logs/"):
        page = words(viewer_client, run, tab)
        for lie in ("not reported", "reported none", "reported no", "gave n", "No steps", "none"):
            assert lie not in page, (tab, lie)
        assert "not been fetched yet" in page, tab
    assert "Timeline 0" not in page
    listed = viewer_client.get("/runs/").text
    assert "not read yet" in listed
    assert "not reported" not in listed
    other = viewer_client.get(f"/compare/?a={run.run_id}&b={make_run().run_id}").text
    assert '<td class="figure">0</td>' not in other


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
