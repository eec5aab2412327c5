"""One section on one database, in this process: `python -m benchmarks.section screen sqlite FILE`.

Results go to FILE, one JSON object a line, each as soon as it is known.
"""

import logging
import os
import platform
import sqlite3
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks.figures import Bench, Growth, Result
from benchmarks.sections import SECTIONS


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SECTIONS)
    parser.add_argument("database", choices=("sqlite", "postgresql"))
    parser.add_argument("into", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()
    prepare(given.database)
    bench = Bench(given.database, given.full, given.seconds, given.quick)
    with given.into.open("ab", buffering=0) as lines:
        lines.write(msgspec.json.encode({"type": "ground", **_ground()}) + b"\n")
        for result in import_module(f"benchmarks.{given.name}").measure(bench):
            lines.write(msgspec.json.encode(result) + b"\n")
            _tell(result)


def prepare(database: str) -> None:
    """An empty migrated database and a Valkey server, which end with this process."""
    os.environ["RUNSHEET_TEST_DATABASE"] = database
    os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
    from tests import environment

    environment.prepare()
    os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"

    import django

    django.setup()
    logging.getLogger().setLevel(logging.WARNING)

    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)


def _ground() -> dict[str, str]:
    from django.db import connection

    version = sqlite3.sqlite_version
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0].split()[0]
    return {"database": f"{connection.vendor} {version}", "python": platform.python_version()}


def _tell(result: Result) -> None:
    if isinstance(result, Growth):
        sys.stderr.write(f"  {result.what}: {result.points}\n")
    else:
        beside = f", {result.floor_is} {result.floor:.4g}" if result.floor is not None else ""
        ours = "-" if result.ours is None else f"{result.ours:.4g}"
        sys.stderr.write(f"  {result.what}: {ours} {result.unit}{beside}\n")


if __name__ == "__main__":
    main()
