"""The list of runs: what its lines show, and what the page asks for."""

import datetime as dt
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from runs.models import Run
from tests.dashboard.lists import get, shown
from tests.factories import make_agent, make_run, make_runs

pytestmark = pytest.mark.django_db

# What it shows -------------------------------------------------------------------------------


def test_a_stranger_is_led_to_the_login(client):
    response = client.get("/runs/?q=nda")
    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/runs/%3Fq%3Dnda"


def test_a_row_tells_status_request_agent_times_steps_and_cost(viewer_client):
    make_agent("agent_review", "Contract Reviewer")
    run = make_run("completed", prompt="Review the NDA", step_count=14, tool_call_count=9)
    html = get(viewer_client)
    assert shown(html) == [run.pk]
    for words in ("completed", "Review the NDA", "Contract Reviewer", "3:41", "14", "$0.1851"):
        assert words in html
    assert 'title="9 tool calls"' in html
    assert f'href="/runs/{run.run_id}/"' in html
    assert f'data-version="{run.version}"' in html


def test_without_runs_it_says_what_to_do(viewer_client):
    html = get(viewer_client)
    assert "No runs yet" in html
    assert 'href="/runs/add/"' in html


def test_without_a_match_it_offers_to_clear_the_filters(viewer_client):
    make_run()
    html = get(viewer_client, "?q=nothing+like+this")
    assert "No run matches" in html
    assert shown(html) == []


def test_what_was_not_reported_is_said_and_not_zero(viewer_client):
    make_run("completed", summary_cost_micros=None, cost_micros=None, agent_id=None)
    html = get(viewer_client)
    assert html.count("not reported") == 2
    assert "$" not in html


def test_a_run_cancelled_before_its_start_was_not_started(viewer_client):
    make_run("cancelled", started_at=None, completed_at=timezone.now(), cost_micros=0, step_count=0)
    html = get(viewer_client)
    assert html.count("not started") == 1
    assert "not reported" not in html
    assert "$0.00" in html


def test_what_runs_without_a_start_that_is_told_does_not_wait(viewer_client):
    run = make_run("running", started_at=None, cost_micros=5)
    html = get(viewer_client)
    assert "not started" not in html
    assert "Waiting" not in html + viewer_client.get(run.get_absolute_url()).text
    waiting = make_run("queued")
    assert "Waiting" in viewer_client.get(waiting.get_absolute_url()).text


def test_a_run_that_was_only_seen_in_the_list_has_no_steps_to_count(viewer_client):
    make_run("completed", step_count=0, poll_last_ok_at=None)
    assert "not read yet" in get(viewer_client)


def test_a_run_without_a_poll_or_any_field_is_still_a_line(viewer_client):
    now = timezone.now()
    run = Run.objects.create(
        run_id="run_bare", listed_at=now, first_seen_at=now, changed_at=now, prompt=None
    )
    html = get(viewer_client)
    assert shown(html) == [run.pk]
    assert "no status yet" in html
    assert "<code>run_bare</code>" in html


def test_our_own_remarks_stand_beside_the_status(viewer_client):
    now = timezone.now()
    make_run("queued", created_at=now - dt.timedelta(hours=2))
    make_run("running", poll_failures=2, poll_last_error="Case.dev answered 503.")
    make_run("running", poll_failures=5, poll_quarantined_at=now, poll_last_error="No JSON.")
    html = get(viewer_client)
    assert "nobody started it" in html
    for word in ("stalled", "behind", "unreadable"):
        assert f"<span>{word}</span>" in html


@pytest.mark.parametrize(
    ("prompt", "visible"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('"><img src=x onerror=alert(1)>', "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"),
        ("evil \u202egnp.exe", "evil ‹RLO›gnp.exe"),
        ("{{ 7|add:7 }}{% now 'Y' %}", "{{ 7|add:7 }}{% now &#x27;Y&#x27; %}"),
    ],
)
def test_hostile_text_stays_text(viewer_client, prompt, visible):
    make_agent("agent_review", prompt)
    make_run("completed", prompt=prompt, usage_model=prompt)
    html = get(viewer_client)
    assert html.count(visible) >= 3  # the row's request and agent, and a menu
    assert "<script>alert" not in html
    assert "<img" not in html


def test_a_prompt_of_a_megabyte_is_not_loaded_for_its_line(viewer_client):
    make_run(prompt="word " * 200_000)
    assert len(get(viewer_client)) < 40_000


# Parts, streams, costs -----------------------------------------------------------------------


def test_a_changed_filter_gets_only_the_results_and_its_own_address(viewer_client):
    make_run("failed")
    make_run("completed")
    response = viewer_client.get(
        "/runs/?q=&status=failed&agent=&model=&from=&from=&to=&sort=newest",
        headers={"HX-Request": "true"},
    )
    html = response.content.decode()
    assert html.lstrip().startswith("<div")  # complaints go out of band to their place
    assert 'id="results"' in html
    assert "<form" not in html
    assert "<html" not in html
    assert response["HX-Push-Url"] == "/runs/?status=failed"
    assert "HX-Request" in response["Vary"]
    assert "no-store" in response["Cache-Control"]


def test_where_the_reader_stands_on_the_page_is_no_other_address(viewer_client):
    make_run()
    for here in ("/runs/?status=failed#main", "/runs/?sort=newest&status=failed#results"):
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{here}"}
        address = here.partition("#")[0]
        assert "HX-Push-Url" not in viewer_client.get(address, headers=headers).headers


def test_history_gets_the_whole_page(viewer_client):
    make_run()
    html = get(viewer_client, **{"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in html


def test_the_page_opens_one_stream_for_its_rows_and_later_runs(viewer_client):
    runs = make_runs(3)
    html = get(viewer_client)
    addresses = re.findall(r'sse-connect="([^"]+)"', html)
    assert len(addresses) == 1
    parts = urlsplit(addresses[0].replace("&amp;", "&"))
    query = parse_qs(parts.query)
    assert parts.path == "/runs/live/"
    assert set(query["ids"][0].split(",")) == {f"{run.pk}:{run.version}" for run in runs}
    assert query["seen"] == [str(max(run.pk for run in runs))]


def test_a_column_head_sorts_and_lets_go_again(viewer_client):
    make_run(prompt="the nda")
    assert 'href="?q=nda&amp;sort=cost"' in get(viewer_client, "?q=nda")
    html = get(viewer_client, "?sort=cost")
    assert html.count('aria-sort="descending"') == 1
    assert 'href="?all" title="Back to the newest first"' in html


def test_fifty_lines_cost_as_few_queries_as_one(viewer_client, django_assert_max_num_queries):
    make_agent()
    for _ in range(60):
        make_run()
    get(viewer_client)  # makes the row that remembers whether Case.dev answers
    # Two for the account, three for how fresh all is; the list's own are newest, rows, menus,
    # names and the number. Two are the audit log's; one each for the chosen columns, for what is
    # new, for what is unread, for the default view and for all of them.
    with django_assert_max_num_queries(18) as captured:
        get(viewer_client)
    sql = " ".join(query["sql"] for query in captured)
    # The start of the prompt is cut off by the database; nothing else that may be big is named.
    assert re.findall(r'(\w*\(?)"runs_run"\."prompt"', sql) in (["SUBSTR("], ["SUBSTRING("])
    assert not re.search(r'"runs_run"\."(output|logs|guidance|summary)"', sql)


def test_only_reading_is_offered(viewer_client):
    assert viewer_client.post("/runs/").status_code == 405
