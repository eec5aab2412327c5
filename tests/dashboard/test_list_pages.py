"""The pages of the list of runs: every run once, in any order, whatever happens meanwhile."""

import datetime as dt
import re
from urllib.parse import parse_qs

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import cursors, filters
from runs.models import Run
from tests.dashboard.lists import NOW, complaints, get, shown, walk
from tests.factories import make_run, make_runs

pytestmark = pytest.mark.django_db


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
        run.lasted_micros = run.going_since = None
        if run.started_at and run.completed_at:
            run.lasted_micros = (run.completed_at - run.started_at) // dt.timedelta(microseconds=1)
        elif not run.completed_at and not run.is_terminal:
            run.going_since = run.started_at
        run.cost_micros = (None, 0, 5, 5, -3)[number % 5]
        run.step_count = number % 2
    fields = ["listed_at", "status", "started_at", "completed_at", "cost_micros", "step_count"]
    Run.objects.bulk_update(runs, [*fields, "lasted_micros", "going_since"])
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
        "going_since": None,
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
