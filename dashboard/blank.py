"""A new SQLite database, copied from one that was made before.

Django makes each table the way it came about, change by change, which takes longer than all else
that a first start does. What comes of it is the same each time, so the first one that is made is
kept, without a row of anybody's, for as long as no migration changes. A copy goes through `migrate`
like any other database, which finds nothing left to do.
"""

import hashlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import django
from django.apps import AppConfig, apps
from django.conf import settings

logger = logging.getLogger(__name__)


@contextmanager
def kept_or_copied(place: Path) -> Iterator[None]:
    """Around the migration of the database at `place`: if it is not there it is copied before, or
    kept afterwards."""
    # What a log beside it holds would be written into the copy.
    beside = [place.with_name(place.name + end) for end in ("", "-wal", "-journal")]
    if any(one.exists() for one in beside):
        yield
        return
    blank = Path(settings.BASE_DIR, ".cache", f"blank-{_fingerprint()}.sqlite3")
    if blank.exists():
        _copy(blank, place)
        yield
    else:
        yield
        _keep(place, blank)


def _copy(blank: Path, place: Path) -> None:
    """Whole or not at all: whoever is killed meanwhile leaves no half of a database."""
    part = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.copyfile(blank, part)
    part.replace(place)


def _keep(place: Path, blank: Path) -> None:
    part = blank.with_name(f"{blank.name}.{os.getpid()}")
    try:
        blank.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(place)) as made:
            made.execute("VACUUM INTO ?", (str(part),))
        for older in blank.parent.glob("blank-*.sqlite3"):
            older.unlink(missing_ok=True)
        part.replace(blank)
    except (OSError, sqlite3.Error) as error:
        # A folder that nobody may write to: the next new database is made as this one was.
        logger.info("no blank database is kept: %s", error)
        with suppress(OSError):
            part.unlink()


def _fingerprint() -> str:
    """Names all that decides what a new database holds."""
    told = [Path(__file__), *(path for app in apps.get_app_configs() for path in _migrations(app))]
    versions = f"{django.VERSION} {sqlite3.sqlite_version} {settings.INSTALLED_APPS}"
    found = hashlib.sha256(versions.encode())
    for path in told:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _migrations(app: AppConfig) -> list[Path]:
    return sorted((Path(app.path) / "migrations").glob("*.py"))
