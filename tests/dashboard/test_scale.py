"""Pages cost the same for long runs and many runs: by their queries and plans, not by a clock."""

import gzip
import re
from collections.abc import Iterable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import filters
from dashboard.rows import for_rows
from runs import outlines
from runs.models import Run, Step
from tests.factories import make_run, make_runs, make_steps

pytestmark = pytest.mark.django_db

QUERIES = ("", "?at=300", "?tool=bash", "?failed=1", "?after=150")


def long_run(steps: int) -> Run:
    run = make_run()
    first, *_ = make_steps(run, 3)
    kinds = {1: "thinking", 2: "tool_call", 0: "output"}
    Step.objects.bulk_create(
        Step(
            run=run,
            position=place,
            type=kinds[place % 3],
            tool_name="bash" if place % 3 == 2 else None,
            content="Said." if place % 3 != 2 else None,
            tool_output='"Error: no such vault"' if place % 300 == 2 else None,
            timestamp=first.timestamp,
            changed_version=1,
        )
        for place in range(4, steps + 1)
    )
    Run.objects.filter(pk=run.pk).update(step_count=steps)
    outlines.rebuild(run, judge=True)
    return run


def asked_of(client: Client, address: str) -> list[str]:
    """Statements that a page asks of steps and runs."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in queries if query["sql"].startswith("SELECT")]


def reads_all_of(table: str, statements: Iterable[str]) -> list[str]:
    """Those of `statements` that walk through `table` and not through one of its indices."""
    found = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # tables of a test are small
        for statement in statements:
            words = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
            cursor.execute(f"{words} {statement}".replace("%", "%%"), ())
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            if re.search(rf"Seq Scan on {table}\b|SCAN {table}$|SCAN {table} *\n", plan):
                found.append(f"{statement}\n{plan}")
    return found


def test_a_long_run_asks_as_few_queries_as_a_short_one_and_none_reads_all_its_steps(
    viewer_client,
):
    short, long = long_run(450), long_run(1_500)
    for query in QUERIES:
        few = asked_of(viewer_client, f"/runs/{short.run_id}/{query}")
        many = asked_of(viewer_client, f"/runs/{long.run_id}/{query}")
        assert len(many) == len(few), query
        of_steps = [sql for sql in many if "runs_step" in sql]
        assert of_steps, query
        assert reads_all_of("runs_step", of_steps) == [], query


def test_the_page_of_a_long_run_is_small(viewer_client):
    run = long_run(3_000)
    page = viewer_client.get(f"/runs/{run.run_id}/").content
    assert len(re.findall(rb"<[a-z]", page)) < 2_000
    assert len(gzip.compress(page)) < 60_000


def test_the_step_of_a_long_run_is_read_alone(viewer_client):
    run = long_run(3_000)
    asked = asked_of(viewer_client, f"/runs/{run.run_id}/steps/1500/")
    assert reads_all_of("runs_step", [sql for sql in asked if "runs_step" in sql]) == []


def test_every_order_of_the_list_is_that_of_an_index():
    make_runs(60)
    for sort in filters.SORTS:
        asked = filters.Asked(sort=sort)
        runs = for_rows(filters.matching(asked))
        with CaptureQueriesContext(connection) as queries:
            assert len(filters.page(runs, asked, 50, timezone.now()).runs) == 50
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("SET LOCAL enable_sort = off")
            words = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
            # What has ended and what goes on are asked for apart.
            for query in queries.captured_queries[: 2 if sort == "longest" else 1]:
                cursor.execute(f"{words} {query['sql']}".replace("%", "%%"), ())
                plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
                assert "list_" in plan, f"{sort}: {plan}"
                assert not re.search(r"TEMP B-TREE|\bSort\b", plan), f"{sort}: {plan}"


def test_no_filter_of_the_list_reads_all_runs(viewer_client):
    make_runs(60, prompt="words")
    make_run("suspended")
    for query in ("status=failed", "status=other", "agent=a", "model=m", "q=words", "from=7d"):
        for sort in ("newest", "cost", "longest"):
            asked = asked_of(viewer_client, f"/runs/?{query}&sort={sort}")
            of_runs = [
                sql for sql in asked if 'FROM "runs_run"' in sql and "LIMIT 1 " not in f"{sql} "
            ]
            assert of_runs
            assert reads_all_of("runs_run", of_runs) == [], (query, sort)
