"""Sums, groups and reconciliation of usage entries."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runs import costs
from runs.models import Run, UsageEntry

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def entry(cost: int | None = 1_000, **fields: Any) -> UsageEntry:
    return UsageEntry(**({"kind": "api", "service": "vault", "cost_micros": cost} | fields))


def run(summary: int | None) -> Run:
    return Run(summary_cost_micros=summary)


def test_equal_sums_add_up():
    found = costs.reconcile(run(3_000), [entry(1_000), entry(2_000)])
    assert found == costs.Reconciliation(3_000, 3_000, 0, True)


def test_one_micro_dollar_is_a_difference():
    found = costs.reconcile(run(2_999), [entry(3_000)])
    assert (found.difference_micros, found.adds_up) == (1, False)


def test_without_a_summary_nothing_is_compared():
    assert costs.reconcile(run(None), [entry()]).adds_up is None


def test_no_reported_cost_is_not_zero():
    assert costs.reconcile(run(0), [entry(None)]).entries_micros is None
    assert costs.reconcile(run(0), []).entries_micros is None
    assert costs.reconcile(run(0), [entry(0)]) == costs.Reconciliation(0, 0, 0, True)


def test_what_vanished_upstream_is_in_no_sum():
    entries = [entry(1_000), entry(5_000, vanished_at=NOON)]
    assert costs.reconcile(run(1_000), entries).adds_up
    assert costs.summed(entries).groups["kind"][0].count == 1
    assert costs.summed(entries).total.cost_micros == 1_000
    assert costs.cumulative([entry(1, timestamp=NOON, vanished_at=NOON)]) == []


def test_groups_come_dearest_first_and_the_uncosted_last():
    entries = [
        entry(10, service="legal"),
        entry(None, service="ocr"),
        entry(500, service="vault", status_code=404),
        entry(500, service="vault", total_tokens=7),
        entry(20, service=None),
    ]
    groups = costs.summed(entries).groups["service"]
    assert [group.label for group in groups] == ["vault", None, "legal", "ocr"]
    assert groups[0] == costs.Total("vault", 2, 1, 1_000, None, None, 7)
    assert groups[-1].cost_micros is None


def test_a_call_below_400_is_no_error():
    codes = (None, 200, 302, 399, 400, 503)
    assert costs.summed([entry(status_code=code) for code in codes]).total.errors == 2


def test_the_running_total_follows_time_and_merges_moments():
    later = NOON + dt.timedelta(seconds=5)
    entries = [
        entry(300, timestamp=later),
        entry(100, timestamp=NOON),
        entry(50, timestamp=NOON),
        entry(7, timestamp=None),
        entry(None, timestamp=later),
    ]
    assert costs.cumulative(entries) == [(NOON, 150), (later, 450)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["llm", "api", ""]),
            st.sampled_from(["llm", "vault", None, ""]),
            st.one_of(st.none(), st.integers(-(10**12), 10**12)),
        )
    )
)
def test_every_grouping_sums_to_the_same(rows):
    entries = [
        SimpleNamespace(
            kind=kind,
            service=service,
            endpoint=service,
            model=kind,
            status_code=None,
            cost_micros=cost,
            prompt_tokens=cost,
            completion_tokens=None,
            total_tokens=None,
            timestamp=NOON,
            vanished_at=None,
        )
        for kind, service, cost in rows
    ]
    whole, groupings = costs.summed(entries)
    assert list(groupings) == ["kind", "service", "endpoint", "model"]
    for groups in groupings.values():
        assert sum(group.cost_micros or 0 for group in groups) == (whole.cost_micros or 0)
        assert sum(group.count for group in groups) == len(entries)
    if known := costs.cumulative(entries):
        assert known[-1][1] == whole.cost_micros
