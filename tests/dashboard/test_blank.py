"""New databases that are copied, and the blank one that they are copied from."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dashboard import blank
from tests import environment
from tests.product import ROOT


class Places:
    """A folder that keeps blank databases, and one of data."""

    def __init__(self, settings: Any, folder: Path) -> None:
        settings.BASE_DIR = folder / "code"
        self.kept = folder / "code" / ".cache"
        self.data = folder / "data"
        self.data.mkdir()

    def prepare(self, name: str) -> bool:
        """Have the database `name`; whether its table had to be made."""
        place = self.data / name
        with blank.kept_or_copied(place), closing(sqlite3.connect(place)) as database:
            had = database.execute("SELECT name FROM sqlite_master").fetchall()
            database.execute("CREATE TABLE IF NOT EXISTS made (at)")
            return not had


@pytest.fixture
def places(settings: Any, tmp_path: Path) -> Places:
    return Places(settings, tmp_path)


def test_the_first_is_made_and_the_next_is_a_copy(places: Places) -> None:
    assert places.prepare("first")
    assert not places.prepare("second")
    assert {path.name for path in places.data.iterdir()} == {"first", "second"}


def test_what_is_there_is_neither_copied_over_nor_kept(places: Places) -> None:
    (places.data / "first").touch()
    assert places.prepare("first")
    assert not places.kept.exists()
    assert places.prepare("second")


@pytest.mark.parametrize("beside", ["-wal", "-journal"])
def test_a_log_that_lies_beside_is_not_read_into_a_copy(places: Places, beside: str) -> None:
    assert places.prepare("first")
    (places.data / f"second{beside}").write_bytes(b"")
    assert places.prepare("second")


def test_another_migration_makes_a_new_one_and_leaves_no_old(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.prepare("first")
    (old,) = places.kept.iterdir()
    monkeypatch.setattr(blank, "_migrations", lambda app: [Path(__file__)])
    assert places.prepare("second")
    (new,) = places.kept.iterdir()
    assert new.name != old.name


def test_a_folder_that_cannot_be_written_to_stops_nothing(places: Places) -> None:
    places.kept.parent.mkdir()
    places.kept.write_text("no folder")
    assert places.prepare("first")
    assert places.prepare("second")


OWN = re.compile(r'INSERT INTO "(auth_user|dashboard_audit|dashboard_audit_head)"')


def dump(folder: Path) -> list[str]:
    """All that a database holds, but for moments and what is new in each."""
    with closing(sqlite3.connect(folder / "demo.sqlite3")) as database:
        lines = [line for line in database.iterdump() if not OWN.match(line)]
    return sorted(re.sub(r"'20\d\d-[^']*'", "?", line) for line in lines)


def test_a_copy_holds_what_migrations_make(tmp_path: Path) -> None:
    made, first, copied = (tmp_path / name for name in ("made", "first", "copied"))
    made.mkdir()
    (made / "demo.sqlite3").touch()  # no new one: it is migrated
    for folder in (made, first, copied):
        subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env=environment.bare() | {"RUNSHEET_DATA_DIR": str(folder)},
            capture_output=True,
            timeout=120,
            check=True,
        )
    assert dump(made) == dump(copied)
    assert any('CREATE TABLE "runs_run"' in line for line in dump(copied))
