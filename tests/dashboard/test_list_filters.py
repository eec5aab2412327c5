"""The filters of the list of runs, and what a wrong address gets."""

import datetime as dt
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from dashboard import filters
from dashboard.notes.models import Label, RunLabel
from dashboard.views import runs as runs_view
from runs import searching
from runs.models import Run
from tests.dashboard.lists import NOW, complaints, get, shown
from tests.factories import MODEL, make_agent, make_run, make_runs

pytestmark = pytest.mark.django_db

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


def test_a_question_that_costs_more_is_counted_less_far(viewer_client, monkeypatch):
    monkeypatch.setattr(runs_view, "PAGE_LENGTH", 1)
    monkeypatch.setattr(filters, "MOST_MATCHING", 4)
    monkeypatch.setattr(filters, "MOST_HELD", 2)
    make_runs(5, prompt="contract", status="failed")
    assert '<b class="num">5</b> runs' in get(viewer_client)
    assert '<b class="num">4+</b> runs' in get(viewer_client, "?status=failed")
    assert '<b class="num">2+</b> runs' in get(viewer_client, "?q=contract")
    assert '<b class="num">2+</b> runs' in get(viewer_client, "?q=contract&status=failed")


def test_words_that_many_hold_are_counted_among_a_few_thousand_runs(viewer_client, monkeypatch):
    """And told as more than a round number; what one page shows whole needs no count."""
    monkeypatch.setattr(runs_view, "PAGE_LENGTH", 3)
    monkeypatch.setattr(searching, "SAMPLE", 10**6)
    monkeypatch.setattr(searching, "COMMON", 1)
    make_runs(20, prompt="lease", status="failed")
    make_runs(30, prompt="contract")
    cases = (
        (100, "lease", "20"),
        (100, "lease&status=failed&sort=cost", "20"),
        (35, "contract", "[123]0\\+"),  # 16 to 30 of those looked at hold it
        (5, "contract", "[3-6]\\+"),  # at least as many as are shown
        (15, "lease&status=failed", "10\\+"),
        (1, "contract&status=failed", "0"),
    )
    for looked_at, asked, told in cases:
        monkeypatch.setattr(searching, "COUNTED", looked_at)
        page = get(viewer_client, f"?q={asked}")
        assert re.search(f'<b class="num">{told}</b> run', page), (looked_at, asked)


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


def test_one_letter_is_looked_for_by_the_index_of_ids(viewer_client):
    """Whether few begin so, or none, or very many: no way leads through all runs."""
    make_runs(searching.FEWEST + 1)
    other = make_run(run_id="other")
    for words, count in (("o", 1), ("zz", 0), ("r", searching.FEWEST + 1), ("R", 0)):
        assert searching.matching(Run.objects.all(), words).count() == count, words
    assert shown(get(viewer_client, "?q=o")) == [other.pk]
    if connection.vendor == "sqlite":
        plan = searching.matching(Run.objects.order_by(), "r").values("pk").explain()
        assert "run_id>? AND run_id<?" in plan


def test_a_label_that_few_or_many_bear_is_found_in_every_order(viewer_client, monkeypatch):
    """Looked up where few do; where many do, met on a way through all, and joined to be counted."""
    monkeypatch.setattr(searching, "FEWEST", 4)
    monkeypatch.setattr(searching, "MOST", 6)
    monkeypatch.setattr(filters, "MOST_HELD", 3)
    runs = [make_run("failed" if n % 2 else "completed", cost_micros=n) for n in range(20)]
    by = User.objects.create(username="somebody")
    for count in (3, 6, 9, 20):
        label = Label.objects.create(name=f"Of {count}")
        RunLabel.objects.bulk_create(
            RunLabel(run=run, label=label, by=by, at=NOW) for run in runs[:count]
        )
        for status in ("", "&status=failed"):
            bear = [run for run in runs[:count] if not status or run.status == "failed"]
            for sort in ("newest", "cost", "longest"):
                page = get(viewer_client, f"?label=of+{count}&sort={sort}{status}")
                assert set(shown(page)) == {run.pk for run in bear}, (count, sort, status)
                assert f'<b class="num">{len(bear)}' in page
            assert shown(get(viewer_client, f"?label=of+{count}&sort=cost{status}")) == [
                run.pk for run in reversed(bear)
            ]


def test_what_bears_a_label_is_counted_beyond_the_page(viewer_client, monkeypatch):
    monkeypatch.setattr(runs_view, "PAGE_LENGTH", 2)
    runs = make_runs(5, status="failed") + make_runs(4)
    by, label = User.objects.create(username="somebody"), Label.objects.create(name="Urgent")
    RunLabel.objects.bulk_create(
        RunLabel(run=run, label=label, by=by, at=NOW) for run in runs[1:-1]
    )
    assert '<b class="num">7</b> runs' in get(viewer_client, "?label=urgent")
    assert '<b class="num">4</b> runs' in get(viewer_client, "?label=urgent&status=failed")
    monkeypatch.setattr(filters, "MOST_MATCHING", 6)
    assert '<b class="num">6+</b> runs' in get(viewer_client, "?label=urgent")
