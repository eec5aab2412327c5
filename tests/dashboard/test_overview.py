"""The overview: what runs, what needs somebody, what it cost, how fresh all is."""

import datetime as dt
import re
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import board
from runs import notices
from runs.models import Run, Upstream
from tests import markup
from tests.factories import make_agent, make_run, make_runs

pytestmark = pytest.mark.django_db


def get(client: Client, address: str = "/", **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """What a reader sees, on one line."""
    return re.sub(r" ([,;.])", r"\1", markup.words(html))


def glance(html: str) -> list[str]:
    """The figures at the top, each with its term and what stands beside it."""
    part = re.search(r'<dl class="glance">.*?</dl>', html, re.DOTALL)
    assert part
    return [words(each) for each in re.findall(r"<div>.*?</div>", part[0], re.DOTALL)]


def needs(html: str) -> str:
    part = re.search(r'<section aria-labelledby="needs">.*?</section>', html, re.DOTALL)
    assert part
    return words(part[0])


def ago(**span: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(**span)


def start_of(days_ago: int) -> dt.datetime:
    """A minute past midnight, so many days ago; never in the future."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=days_ago)


def test_a_stranger_is_led_to_the_login(client):
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/"


def test_without_runs_it_says_what_to_do(viewer_client):
    html = get(viewer_client)
    assert "No runs yet" in html
    assert 'href="/runs/add/"' in html
    assert "$" not in html


# What is running -----------------------------------------------------------------------------


def test_running_runs_are_rows_of_one_stream(viewer_client):
    runs = [make_run("running", prompt=f"Run {number}") for number in range(3)]
    make_run("completed")
    make_run("queued")
    html = get(viewer_client)
    assert set(re.findall(r'<tr id="run-(\d+)"', html)) == {str(run.pk) for run in runs}
    (address,) = re.findall(r'sse-connect="([^"]+)"', html)
    for run in runs:
        assert f"{run.pk}:{run.version}" in address
    assert glance(html)[0] == "Running now 3 1 queued"


def test_more_running_runs_than_fit_are_counted_and_reachable(viewer_client):
    make_runs(board.MOST_RUNNING + 3, status="running")
    html = get(viewer_client)
    assert html.count('<tr id="run-') == board.MOST_RUNNING
    assert f'<a href="/runs/?status=running">All {board.MOST_RUNNING + 3} running</a>' in html


def test_with_nothing_running_it_says_so_and_still_hears_of_new_runs(viewer_client):
    make_run("queued")
    html = get(viewer_client)
    assert "No run is running. 1 waits to be started." in words(html)
    assert "sse-connect" in html
    assert 'id="arrivals"' in html


# What needs somebody -------------------------------------------------------------------------


def test_when_all_is_well_it_says_so(viewer_client):
    make_run("completed", entries_cost_micros=185_100)
    html = get(viewer_client)
    assert "Nothing: no run failed" in needs(html)
    assert glance(html)[1] == "Needs you nothing none failed in 7 days"


def test_a_failed_run_needs_somebody_and_says_why(viewer_client):
    make_run("failed", prompt="Privilege log", failure_cause="Exit code 137.")
    make_run("failed", prompt="Endless", completed_at=None)
    make_run("failed", prompt="Old", completed_at=ago(days=3), started_at=ago(days=3))
    text = needs(html := get(viewer_client))
    assert "Failed in the last 24 hours 2" in text
    assert "Privilege log failed Exit code 137." in text
    assert "Endless failed No cause is told." in text
    assert "Old" not in text
    assert glance(html)[1] == "Needs you 2 3 failed in 7 days"


def test_the_number_of_failures_opens_exactly_those(viewer_client):
    make_run("failed")
    make_run("failed", completed_at=None)
    make_run("failed", completed_at=ago(days=3), started_at=ago(days=3), created_at=ago(days=20))
    make_run("failed", completed_at=ago(days=9), started_at=ago(days=9))
    html = get(viewer_client)
    address = re.search(r'<a href="([^"]+)">3 failed in 7 days</a>', html)
    assert address
    listed = get(viewer_client, unescape(address[1]))
    assert '<b class="num">3</b> runs' in listed


def test_a_stalled_run_says_what_it_waits_for(viewer_client):
    make_run("queued", created_at=ago(hours=29), prompt="Forgotten")
    make_run("running", created_at=ago(minutes=50), prompt="Too long")
    make_run("running", created_at=ago(minutes=1), prompt="Fine")
    text = needs(get(viewer_client))
    assert "Stalled 2" in text
    assert "Forgotten queued Queued for 29 h, and nobody started it." in text
    assert "Too long running Running for 49 min; a sandbox ends after 30 minutes." in text
    assert "Fine" not in text


def test_a_quarantined_run_needs_somebody(viewer_client):
    make_run(
        "running",
        prompt="Garbled",
        poll_quarantined_at=ago(minutes=3),
        poll_failures=5,
        poll_last_error="The answer is no JSON.",
    )
    text = needs(get(viewer_client))
    assert "Answers that cannot be read 1" in text
    assert "Garbled running The answer is no JSON. 3 min ago" in text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"entries_cost_micros": 181_000},
            "The summary says $0.185100, the entries sum to $0.181000.",
        ),
        ({"status": "paused"}, "Case.dev sent the unknown status “paused”."),
        (
            {"contradictions": [{"code": "reopened", "text": "completed, then running again"}]},
            "Completed, then running again.",
        ),
    ],
)  # fmt: skip
def test_a_record_that_does_not_agree_with_itself_needs_somebody(viewer_client, fields, sentence):
    make_run(**({"status": "completed"} | fields))
    text = needs(get(viewer_client))
    assert "Records that do not agree with themselves 1" in text
    assert sentence in text


@pytest.mark.parametrize(
    "fields",
    [
        {"entries_cost_micros": 185_100},
        {"entries_cost_micros": None},
        {"summary_cost_micros": None, "entries_cost_micros": 5},
        {"entries_cost_micros": 5, "status": "running", "summary_cost_micros": 6},
        {"entries_cost_micros": 5, "created_at": timezone.now() - dt.timedelta(days=8)},
        {"status": ""},
    ],
)
def test_a_record_that_may_be_so_needs_nobody(viewer_client, fields):
    make_run(**({"status": "completed"} | fields))
    assert "do not agree" not in needs(get(viewer_client)).replace("all totals", "")


def test_more_worries_than_fit_are_counted_and_reachable(viewer_client):
    for number in range(board.FEW + 2):
        make_run("failed", prompt=f"Failure {number}")
        make_run("queued", created_at=ago(hours=2), prompt=f"Stall {number}")
    html = get(viewer_client)
    assert needs(html).count("2 more") == 2
    assert 'href="/runs/?status=failed&amp;sort=ended&amp;from=24h">2 more' in html
    assert 'href="?show=stalled#needs">2 more' in html
    assert needs(get(viewer_client, "/?show=stalled")).count("Stall ") == board.FEW + 2


@pytest.mark.parametrize("value", ["nothing", "%00", "<script>", "stalled'--"])
def test_a_wrong_show_is_ignored(viewer_client, value):
    make_run("failed")
    assert "Failed in the last 24 hours 1" in needs(get(viewer_client, f"/?show={value}"))


# What it cost --------------------------------------------------------------------------------


def spend(days_ago: int, micros: int | None, **fields: object) -> Run:
    return make_run(
        "completed", created_at=start_of(days_ago), summary_cost_micros=micros, **fields
    )


def test_costs_are_summed_by_day_and_week(viewer_client):
    spend(0, 100_000)
    spend(0, 23_456)
    spend(6, 1_000_000)
    spend(7, 5_000_000)
    spend(13, 500_000)
    spend(14, 9_000_000)
    figures = glance(get(viewer_client))
    assert figures[2] == "Cost today $0.1235 2 runs"
    assert figures[3] == "Cost in 7 days $1.1235 $5.5000 in the 7 before"


def test_runs_without_a_reported_cost_are_counted_and_no_zero(viewer_client):
    spend(0, None)
    spend(8, None)
    make_run("running", created_at=start_of(0))
    figures = glance(get(viewer_client))
    assert figures[2] == ("Cost today not reported 2 runs, 1 without a reported cost, 1 still open")
    assert figures[3] == "Cost in 7 days not reported not reported in the 7 before"


def test_what_the_list_alone_told_of_is_not_read_yet_and_not_silent(viewer_client):
    spend(0, 1_000_000)
    at = start_of(0)
    make_run("failed", created_at=at, started_at=at, cost_micros=None, version=0, step_count=0)
    html = get(viewer_client)
    assert glance(html)[2] == "Cost today $1.0000 2 runs, 1 not read yet"
    assert "A dashed line" not in html
    assert "Its details have not been fetched yet." in needs(html)


def test_a_cost_of_zero_and_a_day_without_runs_are_zero(viewer_client):
    spend(0, 0)
    figures = glance(get(viewer_client))
    assert figures[2] == "Cost today $0.00 1 run"
    assert figures[3] == "Cost in 7 days $0.00 $0.00 in the 7 before"


def test_each_day_of_two_weeks_is_a_bar_that_opens_its_runs(viewer_client):
    spend(0, 1_000_000)
    spend(1, 500_000)
    spend(1, None)
    html = get(viewer_client)
    days = re.search(r'<ol class="days">.*?</ol>', html, re.DOTALL)
    assert days
    links = re.findall(r'<a href="([^"]+)" title="([^"]+)">(.*?)</a>', days[0], re.DOTALL)
    assert len(links) == 14
    heights = [re.findall(r'<rect y="\d+" width="10" height="(\d+)"', bar) for _, _, bar in links]
    assert heights == [*[[]] * 12, ["50"], ["100"]]
    day = start_of(1).date()
    address, title, bar = links[-2]
    assert unescape(address) == f"/runs/?from={day}&to={day}&sort=cost"
    assert title.endswith(": $0.5000, 2 runs, 1 without a reported cost")
    assert "<path" in bar
    assert '<b class="num">2</b> runs' in get(viewer_client, unescape(address))


def test_the_parts_by_agent_and_model_sum_to_the_week(viewer_client):
    make_agent("agent_0", "Contract Reviewer")
    for number in range(8):
        spend(number % 7, 1_000 * (number + 1), agent_id=f"agent_{number}", usage_model=None)
    spend(8, 1_000_000, agent_id="agent_0")
    costs = board.costs(timezone.now())
    assert costs.week.micros == 36_000
    assert [share.label for share in costs.by_agent] == [
        *(f"agent_{number}" for number in (7, 6, 5, 4, 3)), "all others",
    ]  # fmt: skip
    for shares in (costs.by_agent, costs.by_model):
        assert sum(share.spent.micros for share in shares) == costs.week.micros
        assert sum(share.spent.runs for share in shares) == costs.week.runs
    assert [share.label for share in costs.by_model] == ["not reported"]
    html = get(viewer_client)
    assert 'href="/runs/?agent=agent_7&amp;from=7d&amp;sort=cost"' in html


def test_the_zone_of_the_days_is_said(viewer_client):
    spend(0, 1)
    assert "runs by the day of their creation, UTC" in words(get(viewer_client))


# How fresh -----------------------------------------------------------------------------------


def test_it_says_when_case_dev_last_answered_and_whether_runs_are_late(viewer_client):
    now = timezone.now()
    Upstream.objects.create(pk=Upstream.SOLE, last_ok_at=now - dt.timedelta(minutes=3))
    make_run("running", poll_due_at=now - dt.timedelta(minutes=2))
    assert glance(get(viewer_client))[4] == (
        "Last answer of Case.dev 3 min ago 1 run late; worker seen never"
    )
    notices.beat()
    assert "worker seen just now" in glance(get(viewer_client))[4]


def test_an_outage_is_on_the_page(viewer_client):
    Upstream.objects.create(
        pk=Upstream.SOLE, state="down", since=timezone.now(), last_error="Case.dev answered 503."
    )
    make_run()
    html = get(viewer_client)
    assert '<p class="banner bad"><span role="alert">Case.dev is not answering since' in html


# Cost of the page ----------------------------------------------------------------------------


def test_htmx_gets_the_board_alone(viewer_client):
    make_run("running")
    response = viewer_client.get("/", headers={"HX-Request": "true"})
    html = response.content.decode()
    assert html.lstrip().startswith('<div id="board"')
    assert 'hx-swap-oob="true"' in html[:400]
    assert html.count("hx-swap-oob") == 1
    assert "<html" not in html
    assert "HX-Request" in response["Vary"]


def test_a_full_board_costs_as_few_queries_as_a_short_one(
    viewer_client, django_assert_max_num_queries
):
    make_agent()
    for number in range(20):
        make_run("running", created_at=ago(minutes=number * 4))
        make_run("failed")
        make_run("completed", entries_cost_micros=1)
        make_run("queued", created_at=ago(hours=2), poll_quarantined_at=ago(hours=1))
    get(viewer_client)
    with django_assert_max_num_queries(28) as captured:
        get(viewer_client)
    sql = " ".join(query["sql"] for query in captured)
    assert not re.search(r'"runs_run"\."(output|logs|guidance|summary)"', sql)


def test_hostile_text_stays_text(viewer_client):
    evil = "<script>alert(1)</script>"
    make_agent("agent_review", evil)
    make_run("running", prompt=evil)
    make_run("failed", prompt=evil, failure_cause=evil)
    make_run("completed", usage_model=evil, contradictions=[{"text": evil}])
    make_run(evil, poll_quarantined_at=ago(hours=1), poll_last_error=evil)
    html = get(viewer_client)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8
