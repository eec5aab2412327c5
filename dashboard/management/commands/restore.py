"""`manage.py restore FILE`: put a backup in the place of the database."""

from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from dashboard.backups import flow
from dashboard.backups.container import Refused, described
from dashboard.management.commands.up import sole_user


class Command(BaseCommand):
    help = (
        "Put a backup in the place of the database. Web, worker and beat must not run. What was "
        "revoked, disabled or changed since the backup stays so; everybody signs in anew; runs "
        "that had not ended are asked about at once."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--replace",
            action="store_true",
            help="also if the database is not empty; a backup of it is made first",
        )
        parser.add_argument(
            "--keep-links",
            action="store_true",
            help="onto an empty database: leave shared links and tokens open as they were, though "
            "some may have been revoked since",
        )
        parser.add_argument("--check", action="store_true", help="only read the file and judge it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["check"]:
                reader = flow.checked(options["file"])
                self.stdout.write(f"Whole: {described(reader.manifest)}")
                return
            outcome = self._restore(options)
        except Refused as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            words = " ".join(str(error).split())
            raise CommandError(f"Nothing was changed: {words}") from None
        self.stdout.write(f"Restored: {described(outcome.manifest)}")
        if outcome.replaced:
            self.stdout.write(f"What was there before is in {outcome.replaced}")
        self.stdout.write(f"Links and tokens: {outcome.how.label} ({outcome.closed} closed).")

    def _restore(self, options: dict[str, Any]) -> flow.Outcome:
        is_file = connection.vendor == "sqlite"
        with sole_user(settings.DATA_DIR) if is_file else nullcontext():
            return flow.restore(
                options["file"], replace=options["replace"], keep_links=options["keep_links"]
            )
