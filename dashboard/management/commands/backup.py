"""`manage.py backup`: the whole database in one file, while everything goes on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dashboard.backups import flow
from dashboard.backups.container import Refused, described


class Command(BaseCommand):
    help = (
        "Write the database, as it is at one moment, to a new file that only its owner can read. "
        "Nothing has to be stopped for it. SECRET_KEY is not in it: keep that elsewhere."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--to",
            default="",
            metavar="FILE",
            help="where to; - is standard output, to be encrypted; else a new file in the data "
            "folder's backups/",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        target = options["to"] or flow.default_target()
        try:
            manifest = flow.back_up(target)
        except Refused as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(
                f"The database cannot be read: {' '.join(str(error).split())}"
            ) from None
        self.stderr.write(f"{target}: {described(manifest)}")
