from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs import discovery
from runs.casedev.errors import CaseDevError


class Command(BaseCommand):
    help = "Add runs by their ids, or by addresses that hold one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", nargs="+", help="a run id or its address")

    def handle(self, *args: Any, **options: Any) -> None:
        problems = 0
        for pasted in options["run"]:
            try:
                run = discovery.add(pasted)
            except discovery.NotARunId as error:
                problems += 1
                self.stderr.write(f"{pasted}: {error}")
            except CaseDevError as error:
                problems += 1
                self.stderr.write(f"{pasted}: {error.sentence}")
            else:
                if run.version == 0 and run.poll.last_error:
                    problems += 1
                    self.stderr.write(f"{run.run_id} is added, but: {run.poll.last_error}")
                else:
                    self.stdout.write(f"{run.run_id}: {run.status}, {run.step_count} steps")
        if problems:
            raise CommandError(f"{problems} of {len(options['run'])} could not be added or read.")
