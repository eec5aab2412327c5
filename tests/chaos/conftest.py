"""Which rows this pass runs, how many cases each gets, and how a failing one is repeated.

`@pytest.mark.row("kills")` names a test's row, `cases` iterates over its cases.
"""

import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.chaos.rig import Rig
from tests.chaos.rows import ROWS, Cases, current_pass
from tests.environment import on_postgresql
from tests.runs.conftest import _no_leftovers  # noqa: F401


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        mark = item.get_closest_marker("row")
        (kept if mark is None or _belongs(mark.args[0]) else dropped).append(item)
    items[:] = sorted(kept, key=_place)
    config.hook.pytest_deselected(items=dropped)


LONGEST = ("order", "hostile", "drift", "clocks", "cuts", "stops", "deaf", "kills", "points")


def _place(item: pytest.Item) -> int:
    mark = item.get_closest_marker("row")
    return LONGEST.index(mark.args[0]) if mark and mark.args[0] in LONGEST else len(LONGEST)


def _belongs(name: str) -> bool:
    row = ROWS[name]
    chosen = os.environ.get("RUNSHEET_CHAOS_ROWS")
    database = "postgresql" if on_postgresql() else "sqlite"
    return (
        row.runs_in(current_pass())
        and database in row.databases()
        and (not chosen or name in chosen.split(","))
    )


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Iterator[Cases]:
    mark = request.node.get_closest_marker("row")
    row = ROWS[mark.args[0]]
    cases = request.node.stash[_cases] = Cases(row)
    yield cases
    _tell(request.node.name, cases)
    report = request.node.stash.get(_report, None)
    if report is not None and report.passed:
        assert cases.is_complete, f"{row.name}: {cases.ran} of {cases.count} cases ran"


# In the workers of these rows, in seconds, so that what would take a minute passes in time.
SHORTER: dict[str, dict[str, float]] = {
    "stops": {"leases.LEASE": 6, "leases.RENEW": 1},
    "wires": {"breaker.PROBE_EVERY": 2},
}


@pytest.fixture
def rig(tmp_path: Path, cases: Cases) -> Iterator[Rig]:
    with Rig(tmp_path, cases.seed, SHORTER.get(cases.row.name)) as rig:
        yield rig


_cases = pytest.StashKey[Cases]()
_report = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_report] = report
        cases = item.stash.get(_cases, None)
        if report.failed and cases is not None:
            words = f"seed {cases.seed}, case {cases.number}; to repeat it alone:\n{cases.command}"
            report.sections.append(("chaos", words))
    return report


def _tell(test: str, cases: Cases) -> None:
    """What ran, for whoever started the pass."""
    if folder := os.environ.get("RUNSHEET_CHAOS_TALLY"):
        told = {
            "row": cases.row.name,
            "database": cases.database,
            "ran": cases.ran * cases.row.each,
            "met": cases.met,
            "waived": cases.waived,
            "slowest": cases.slowest,
        }
        place = Path(folder) / f"{cases.database}-{cases.row.name}-{test}.json"
        place.write_text(json.dumps(told), encoding="utf-8")
