"""Commands typed on the server are looks and acts too: each leaves a row before it runs.

As with pages, what is not recorded has to be named. A command that cannot be recorded does not
run. Programs that call a command by themselves (`call_command`) pass here neither: whoever called
them was recorded, or is the product itself.
"""

import getpass
import re
import sys

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from dashboard.audit import acts
from dashboard.audit.models import Act
from runs import discovery

# Show no run and no account, make the tables in which a row would stand, or are for developers;
# `restore` tells of itself in the log that it puts in place of this one.
UNRECORDED = frozenset(
    {
        *("help", "version", "check", "diffsettings", "compilemessages", "makemessages"),
        *(
            "collectstatic",
            "findstatic",
            "createcachetable",
            "migrate",
            "prepare",
            "showmigrations",
        ),
        *("makemigrations", "optimizemigration", "squashmigrations", "sqlmigrate", "sqlflush"),
        *("sqlsequencereset", "startapp", "startproject", "test", "testserver", "runserver"),
        *("sendtestemail", "up", "simulate", "verify_audit", "inspectdb", "restore"),
    }
)
_OPTION_WITH_VALUE = re.compile(r"(--[\w-]+)=.*", re.DOTALL)


class Recording(ManagementUtility):
    """Django's own reader of the command line, which notes what it is about to run."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand)
        asks_for_help = {"-h", "--help"} & set(self.argv[2:])
        if subcommand not in UNRECORDED and not asks_for_help:
            try:
                note(subcommand, self.argv[2:])
            except DatabaseError as error:
                told = " ".join(str(error).split())
                sys.exit(f"{subcommand} was not run: the audit log cannot be written ({told}).")
        return command


def run(argv: list[str]) -> None:
    Recording(argv).execute()


def note(name: str, words: list[str]) -> None:
    """One row: which command, with what, by which account of the operating system. What stands
    behind an option's `=` is left out, since it can be a secret; a run is named where one is."""
    told = [_OPTION_WITH_VALUE.sub(r"\1=…", word) for word in words]
    runs = [word for word in words if not word.startswith("-")] if name == "add" else []
    detail = " ".join([name, *told])
    act = Act.RUN_ADDED if name == "add" else Act.COMMAND
    for run_id in runs or [""]:
        acts.record(act, run=_id_of(run_id), page="manage.py", detail=detail, name=_typist())


def _id_of(pasted: str) -> str:
    try:
        return discovery.run_id_in(pasted) if pasted else ""
    except discovery.NotARunId:
        return ""


def _typist() -> str:
    try:
        return f"{getpass.getuser()} (server)"
    except (KeyError, OSError):
        return "somebody (server)"
