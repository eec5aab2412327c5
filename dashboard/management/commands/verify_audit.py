"""`manage.py verify_audit`: is the audit log as it was written?"""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dashboard.audit import chain


class Command(BaseCommand):
    help = (
        "Check every row of the audit log against its digest and the row before it. Prints the "
        "log's head, to be kept elsewhere. Exit code 1, and the first row that is wrong, if it "
        "was changed; 2 if it could not be read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--expect-head",
            default="",
            metavar="NUMBER:DIGEST",
            help="a head printed earlier, which the log must still contain",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            head = chain.verify(options["expect_head"])
        except chain.Broken as error:
            self.stderr.write(f"The audit log is broken: {error}")
            sys.exit(1)
        except ValueError:
            raise CommandError(
                "--expect-head takes NUMBER:DIGEST, as this command prints it.", returncode=2
            ) from None
        except DatabaseError as error:
            self.stderr.write(f"The audit log cannot be read: {' '.join(str(error).split())}")
            sys.exit(1 if "audit" in str(error) else 2)  # a table of it is gone
        rows = "row" if head.number == 1 else "rows"
        self.stdout.write(f"{head.number} {rows}, all as written. Head {chain.token(head)}")
