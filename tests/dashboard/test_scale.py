"""Pages cost the same for long runs and many runs: by their queries and plans, not by a clock."""

import datetime as dt
import gzip
import re
from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import filters, vitals
from dashboard.rows import for_rows
from runs import outlines, sync
from runs.models import Poll, Run, Step
from tests.factories import make_entries, make_run, make_runs, make_steps
from tests.runs.answers import details

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
        runs = filters.matching(asked)
        with CaptureQueriesContext(connection) as queries:
            page = filters.page(runs, for_rows, asked, 50, timezone.now())
        assert len(page.runs) == 50
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("SET LOCAL enable_sort = off")
            words = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
            # What has ended and what goes on are asked for apart.
            for query in queries.captured_queries[: 2 if sort == "longest" else 1]:
                cursor.execute(f"{words} {query['sql']}".replace("%", "%%"), ())
                plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
                assert re.search("COVERING INDEX list_|Index Only Scan .*list_", plan), plan
                assert not re.search(r"TEMP B-TREE|\bSort\b", plan), f"{sort}: {plan}"


def test_the_index_of_each_order_holds_what_most_lists_are_narrowed_by():
    with connection.cursor() as cursor:
        known = connection.introspection.get_constraints(cursor, "runs_run").values()
    held = [one["columns"] for one in known if one["index"]]
    for sort in filters.SORTS.values():
        assert [sort.order.column, "id", "status", "agent_id"] in held


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


def walks(statements: Iterable[str], *indices: str) -> list[str]:
    """Those of `statements` that are answered by none of `indices`, with their plans."""
    found = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        for statement in statements:
            words = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
            cursor.execute(f"{words} {statement}".replace("%", "%%"), ())
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            if not any(index in plan for index in indices):
                found.append(f"{statement}\n{plan}")
    return found


def failed_run() -> Run:
    run = long_run(1_500)
    run.steps.filter(unanswered=True).update(tool_output='"ok"')
    outlines.rebuild(run, judge=True)
    make_entries(run, 300)
    Run.objects.filter(pk=run.pk).update(status="failed")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE runs_step")
            cursor.execute("ANALYZE runs_usageentry")
    return run


def test_why_a_long_run_failed_is_found_by_indices_of_what_is_rare(viewer_client):
    run = failed_run()
    for tab in ("", "read/", "cost/", "result/"):
        asked = asked_of(viewer_client, f"/runs/{run.run_id}/{tab}")
        failed = [sql for sql in asked if '"failed"' in sql and "DESC LIMIT 3" in sql]
        called = [sql for sql in asked if '"status_code" >= 400' in sql]
        still_open = [sql for sql in asked if '"partner" IS NULL' in sql and "LIMIT 1" in sql]
        spoken = [sql for sql in asked if "'thinking'" in sql and "DESC LIMIT 1" in sql]
        assert len(failed) == len(called) == len(still_open) == len(spoken) == 1, tab
        assert walks(failed, "clues_of_steps") == []
        assert walks(called, "clues_of_entries") == []
        assert walks(still_open, "sync_open_calls") == []
        assert re.search(r'"position" BETWEEN \s?\d+ AND', spoken[0]), "not the whole run"


def test_no_page_of_a_completed_run_counts_its_open_calls(viewer_client):
    run = make_run("completed")
    for _ in range(100):
        make_steps(run, 1, type="tool_call", tool_output=None)
        make_steps(run, 1, type="tool_result", tool_name="bash", tool_output='"ok"')
    make_steps(run, 2, type="tool_call", tool_output=None)
    for tab in ("", "read/", "cost/", "result/"):
        asked = asked_of(viewer_client, f"/runs/{run.run_id}/{tab}")
        assert [sql for sql in asked if '"partner" IS NULL' in sql] == [], tab
    page = viewer_client.get(f"/runs/{run.run_id}/").text
    assert "The run completed, but 2 tool calls have no answer." in page


def test_entries_are_matched_by_an_index_of_their_time(viewer_client):
    run = failed_run()
    asked = asked_of(viewer_client, f"/runs/{run.run_id}/read/")
    timed = [sql for sql in asked if '"runs_usageentry"."timestamp" >=' in sql]
    assert len(timed) == 1
    if connection.vendor == "sqlite":  # PostgreSQL knows that 300 entries are few
        assert walks(timed, "match_by_time") == []


def test_the_costs_are_summed_anew_for_an_entry_and_not_for_a_step(viewer_client):
    def sums_of(run: Run) -> list[str]:
        asked = asked_of(viewer_client, f"/runs/{run.run_id}/cost/")
        of_entries = [sql for sql in asked if 'FROM "runs_usageentry"' in sql]
        return [sql for sql in of_entries if "LIMIT" not in sql and "BETWEEN" not in sql]

    steps = [{"id": "a", "type": "output", "content": "x"}]
    entry = {"id": "u1", "type": "api", "service": "vault", "costMicros": 5_000}
    run = make_run("running", run_id="run_costly", summary_cost_micros=None, step_count=0)

    def take(entries: list[dict[str, Any]]) -> None:
        body = details(steps, id=run.run_id, status="running", usage={"entries": entries})
        sync.apply(Run.objects.get(pk=run.pk), body, timezone.now())

    take([entry])
    assert len(sums_of(run)) == 1
    assert sums_of(run) == []
    steps.append({"id": "b", "type": "output", "content": "y"})
    take([entry])
    assert sums_of(run) == [], "a step came"
    take([entry | {"costMicros": 7_000, "service": "ocr"}])
    assert len(sums_of(run)) == 1, "an entry says otherwise"
    take([entry | {"costMicros": 7_000, "service": "llm"}])
    assert len(sums_of(run)) == 1, "and again, at the same cost"


def test_the_state_of_the_installation_is_read_without_a_walk_through_all_polls(viewer_client):
    now = timezone.now()
    for number in range(3):
        make_run("running", poll_failures=1, poll_last_error="no", poll_last_error_at=now)
        make_run("running", poll_quarantined_at=now - dt.timedelta(minutes=number))
        make_run("running", poll_leased_until=now + dt.timedelta(minutes=1))
        make_run("completed")
    Poll.objects.bulk_create(Poll(run=run) for run in make_runs(60))
    record = vitals.now().record
    assert record
    assert (record.failing, record.quarantined, record.leased) == (3, 3, 3)
    for page in ("/status/", "/"):
        asked = [sql for sql in asked_of(viewer_client, page) if 'FROM "runs_poll"' in sql]
        assert page == "/" or len(asked) >= 6
        if connection.vendor == "sqlite":
            known = ("claim_due", "status_failing", "overview_unread")
            assert walks(asked, *known) == [], page
    unread = [sql for sql in asked_of(viewer_client, "/") if '"quarantined_at" DESC' in sql]
    assert len(unread) == 1
    assert walks(unread, "overview_unread") == []
