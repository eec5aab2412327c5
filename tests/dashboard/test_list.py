"""The list of runs: filters, orders, pages, and what a wrong address gets."""

import datetime as dt
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import cursors, filters
from runs.models import Run
from tests.factories import MODEL, make_agent, make_run, make_runs

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 24, 10, 42, 7, tzinfo=dt.UTC)


def get(client: Client, query: str = "", **headers: str) -> str:
    response = client.get(f"/runs/{query}", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def shown(html: str) -> list[int]:
    """Keys of the rows, from the top."""
    return [int(pk) for pk in re.findall(r'<tr id="run-(\d+)"', html)]


def walk(client: Client, query: str = "") -> list[int]:
    """Keys of the rows of all pages, by following "Next"."""
    found, address = [], query
    for _ in range(100):
        html = get(client, address)
        found += shown(html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        if not following:
            return found
        address = following[1].replace("&amp;", "&")
    raise AssertionError("the walk does not end")


def complaints(html: str) -> list[str]:
    part = re.search(r'id="complaints".*?</div>', html, re.DOTALL)
    return re.findall(r'<p class="error">(.*?)</p>', part[0]) if part else []


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
    make_run("cancelled", started_at=None, completed_at=timezone.now(), cost_micros=0)
    html = get(viewer_client)
    assert html.count("not started") == 1
    assert "not reported" not in html
    assert "$0.00" in html


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


# Filters -------------------------------------------------------------------------------------


def test_statuses_add_up_and_other_means_none_of_the_known(viewer_client):
    pks = {status: make_run(status).pk for status in (*Run.Status.values, "paused")}
    assert shown(get(viewer_client, "?status=failed")) == [pks["failed"]]
    assert set(shown(get(viewer_client, "?status=failed&status=queued"))) == {
        pks["failed"],
        pks["queued"],
    }
    assert shown(get(viewer_client, "?status=other")) == [pks["paused"]]
    everything = "&".join(f"status={status}" for status in filters.STATUSES)
    assert len(shown(get(viewer_client, f"?{everything}"))) == 6


def test_agent_and_model_filter_and_keep_their_choice(viewer_client):
    wanted = make_run(agent_id="agent_a", usage_model="model/x").pk
    make_run(agent_id="agent_b", usage_model="model/y")
    overridden = make_run(agent_id="agent_c", usage_model=None, model="model/x").pk
    assert shown(get(viewer_client, "?agent=agent_a")) == [wanted]
    html = get(viewer_client, "?model=model/x")
    assert set(shown(html)) == {wanted, overridden}
    assert '<option value="model/x" selected>' in html


def test_menus_offer_what_occurs_by_name(viewer_client):
    make_agent("agent_a", "Zed")
    make_run(agent_id="agent_a")
    make_run(agent_id="agent_unnamed", usage_model="model/z")
    make_run(agent_id=None, usage_model=None)
    html = get(viewer_client)
    options = re.findall(r'<option value="([^"]+)"[^>]*>([^<]+)<', html)
    assert ("agent_a", "Zed") in options
    assert ("agent_unnamed", "agent_unnamed") in options
    assert {value for value, _ in options} >= {MODEL, "model/z"}


def test_more_agents_than_a_menu_holds_are_said_to_exist(viewer_client):
    make_runs(205)
    for number, run in enumerate(Run.objects.all()):
        Run.objects.filter(pk=run.pk).update(agent_id=f"agent_{number:03}")
    assert "More exist" in get(viewer_client)
    assert len(shown(get(viewer_client, "?agent=agent_204"))) == 1


@pytest.mark.parametrize("field", ["prompt", "run_id", "summary"])
def test_search_looks_into_prompt_id_and_summary_in_any_case(viewer_client, field):
    wanted = make_run(**{field: "x_Force_Majeure_x"}).pk
    make_run(prompt="something else")
    assert shown(get(viewer_client, "?q=force_majeure")) == [wanted]


def test_search_takes_wildcards_as_they_are(viewer_client):
    wanted = make_run(prompt="100% done_").pk
    make_run(prompt="1000 done")
    assert shown(get(viewer_client, "?q=0%25+done")) == [wanted]
    assert shown(get(viewer_client, "?q=done_")) == [wanted]


def test_dates_are_whole_days_with_the_last_included(viewer_client):
    days = {
        day: make_run(created_at=dt.datetime(2026, 3, day, 23, 59, 59, tzinfo=dt.UTC)).pk
        for day in (1, 2, 3)
    }
    assert set(shown(get(viewer_client, "?from=2026-03-02"))) == {days[2], days[3]}
    assert set(shown(get(viewer_client, "?to=2026-03-02"))) == {days[1], days[2]}
    assert shown(get(viewer_client, "?from=2026-03-02&to=2026-03-02")) == [days[2]]


def test_dates_filter_the_time_that_the_list_is_sorted_by(viewer_client):
    morning, evening = (dt.datetime(2026, 3, 2, hour, tzinfo=dt.UTC) for hour in (1, 23))
    late = make_run(created_at=evening, completed_at=evening + dt.timedelta(hours=2)).pk
    early = make_run(created_at=morning, completed_at=morning + dt.timedelta(hours=1)).pk
    endless = make_run("failed", created_at=morning, completed_at=None).pk
    day = "from=2026-03-02&to=2026-03-02"
    assert set(shown(get(viewer_client, f"?{day}"))) == {late, early, endless}
    assert set(shown(get(viewer_client, f"?{day}&sort=ended"))) == {early, endless}


@pytest.mark.parametrize(
    ("period", "kept"), [("today", 1), ("24h", 2), ("7d", 3), ("30d", 4), ("", 5)]
)
def test_periods_move_with_the_clock(viewer_client, period, kept):
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    make_run(created_at=timezone.now())
    make_run(created_at=max(midnight - dt.timedelta(seconds=1), _hours_ago(23.9)))
    make_run(created_at=midnight - dt.timedelta(days=6))
    make_run(created_at=midnight - dt.timedelta(days=29))
    make_run(created_at=midnight - dt.timedelta(days=29, seconds=1))
    # Just after midnight yesterday's last second is not within 24 hours of... it always is.
    assert len(shown(get(viewer_client, f"?from={period}"))) == kept


def _hours_ago(hours: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(hours=hours)


def test_the_number_of_matches_is_exact_up_to_ten_thousand(viewer_client):
    make_runs(3)
    assert '<b class="num">3</b> runs' in get(viewer_client)
    Run.objects.all().delete()
    make_runs(10_000, prompt="x")
    assert '<b class="num">10,000</b> runs' in get(viewer_client)
    make_runs(1)
    assert '<b class="num">10,000+</b> runs' in get(viewer_client)


# Wrong addresses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("status=runing", "There is no status “runing”."),
        ("sort=colour", "There is no order “colour”; the newest come first."),
        ("from=yesterday", "“yesterday” is no date; write it as 2026-11-24."),
        ("from=2026-02-30", "“2026-02-30” is no date; write it as 2026-11-24."),
        ("to=24.11.2026", "“24.11.2026” is no date; write it as 2026-11-24."),
        ("from=2026-03-02&to=2026-03-01", "The last day lies before the first, and was left out."),
        ("after=nonsense", "The link to this page was damaged; the list starts at the top."),
        ("q=" + "x" * 300, "Only the first 200 characters are searched for."),
        ("agent=" + "x" * 300, "No agent has a name like “" + "x" * 40 + "…”."),
    ],
)
def test_what_cannot_be_is_told_in_words_and_ignored(viewer_client, query, sentence):
    make_run(prompt="x" * 300, created_at=dt.datetime(2026, 3, 5, tzinfo=dt.UTC))
    html = get(viewer_client, f"?{query}")
    assert complaints(html) == [sentence]
    assert len(shown(html)) == 1


@pytest.mark.parametrize("value", ["%00", "%F0%28", "%ED%A0%80", "٢٠٢٦-١١-٢٤", "0001-01-01", "'"])
@pytest.mark.parametrize(
    "name", ["q", "status", "agent", "model", "from", "to", "sort", "after", "ids", "x"]
)
def test_no_value_breaks_the_page(viewer_client, name, value):
    make_run()
    get(viewer_client, f"?{name}={value}")


@given(
    st.dictionaries(
        st.sampled_from(["q", "status", "agent", "from", "to", "sort", "after"]),
        st.text(max_size=60),
        max_size=4,
    )
)
def test_any_query_is_read_and_repeats_itself(values):
    query = QueryDict(mutable=True)
    for name, value in values.items():
        query[name] = value
    asked = filters.read(query, NOW)
    again = filters.read(QueryDict(asked.query(after=asked.after)), NOW)
    again.complaints = asked.complaints = {}
    assert again == asked


# Pages ---------------------------------------------------------------------------------------


def awkward_runs() -> list[Run]:
    """500 runs in which every sort key has many equal values and, where it may, no value."""
    runs = make_runs(500)
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    for number, run in enumerate(runs):
        minute = dt.timedelta(minutes=number % 3)
        run.listed_at = start + minute
        run.status = ("completed", "running", "queued", "paused")[number % 4]
        run.started_at = start + minute if number % 5 else None
        run.completed_at = start + 2 * minute if number % 7 else None
        run.cost_micros = (None, 0, 5, 5, -3)[number % 5]
        run.step_count = number % 2
    fields = ["listed_at", "status", "started_at", "completed_at", "cost_micros", "step_count"]
    Run.objects.bulk_update(runs, fields)
    return runs


@pytest.mark.parametrize("sort", filters.SORTS)
def test_the_pages_show_each_run_once_in_any_order(viewer_client, sort):
    runs = awkward_runs()
    found = walk(viewer_client, f"?sort={sort}")
    assert len(found) == 500
    assert set(found) == {run.pk for run in runs}


@pytest.mark.parametrize("sort", ["newest", "oldest", "started", "ended", "steps", "cost"])
def test_the_pages_are_in_the_order_asked_for(viewer_client, sort):
    runs = {run.pk: run for run in awkward_runs()}
    order = filters.SORTS[sort].order
    keys = [(getattr(runs[pk], order.column), pk) for pk in walk(viewer_client, f"?sort={sort}")]
    known = [key for key in keys if key[0] is not None]
    assert known == sorted(known, reverse=order.is_descending)
    assert keys[: len(known)] == known
    absent = [pk for _, pk in keys[len(known) :]]
    assert absent == sorted(absent, reverse=True)


def test_longest_measures_active_runs_against_the_moment_of_the_first_page(viewer_client):
    now = timezone.now()
    runs = [
        make_run("running", created_at=now - dt.timedelta(minutes=minutes)) for minutes in range(60)
    ]
    first = get(viewer_client, "?sort=longest")
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    # Meanwhile a run of the first page ends; the second page still begins where the first ended.
    ended = {
        "status": "completed",
        "completed_at": timezone.now(),
        "lasted_micros": 61 * 60 * 10**6,
    }
    Run.objects.filter(pk=runs[-1].pk).update(**ended)
    second = get(viewer_client, following[1].replace("&amp;", "&"))
    found = shown(first) + shown(second)
    assert found == [run.pk for run in reversed(runs)]


def test_a_run_that_comes_meanwhile_shifts_no_page(viewer_client):
    runs = make_runs(60)
    first = get(viewer_client)
    make_run(created_at=timezone.now() + dt.timedelta(seconds=1))
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = get(viewer_client, following[1].replace("&amp;", "&"))
    assert shown(first) + shown(second) == [run.pk for run in runs]
    assert "Back to the first" in second


def test_the_next_page_keeps_the_filters(viewer_client):
    make_runs(60, prompt="wanted", status="failed")
    make_runs(60, prompt="other")
    html = get(viewer_client, "?q=wanted&status=failed&sort=cost&from=7d")
    following = re.search(r'rel="next" href="\?([^"]+)"', html)
    assert following
    query = parse_qs(following[1].replace("&amp;", "&"))
    assert {name: query[name] for name in ("q", "status", "sort", "from")} == {
        "q": ["wanted"],
        "status": ["failed"],
        "sort": ["cost"],
        "from": ["7d"],
    }
    assert len(walk(viewer_client, "?q=wanted&status=failed&sort=cost&from=7d")) == 60


@pytest.mark.parametrize("sort", filters.SORTS)
@settings(max_examples=60)
@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda b: b.hex())))
def test_a_made_up_cursor_is_refused(sort, text):
    with pytest.raises(cursors.CursorError):
        filters.SORTS[sort].order.decode(text)


@pytest.mark.parametrize("sort", filters.SORTS)
@pytest.mark.parametrize(
    "key", ["2026-01-01T00:00:00+00:00", 5, -(2**63) + 1, None, 1.5, True, [1], "9999-12-31", "x"]
)
def test_a_cursor_with_a_key_of_the_wrong_kind_is_told_not_followed(viewer_client, sort, key):
    make_run()
    column = filters.SORTS[sort].order.column
    cursor = cursors.Cursor(column, key, 7, NOW).encode()
    html = get(viewer_client, f"?sort={sort}&after={cursor}")
    kind = filters.SORTS[sort].order.kind
    fits = key is None or (str(key).startswith("2026") if kind is dt.datetime else type(key) is int)
    assert bool(complaints(html)) != fits


def test_a_cursor_of_another_order_starts_at_the_top(viewer_client):
    runs = make_runs(60)
    following = re.search(r'rel="next" href="\?after=([^"]+)"', get(viewer_client))
    assert following
    html = get(viewer_client, f"?sort=cost&after={following[1]}")
    assert complaints(html)
    assert len(shown(html)) == 50
    assert len(runs) == 60


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
    assert 'href="/runs/" title="Back to the newest first"' in html


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
