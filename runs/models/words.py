"""What a search through runs looks at."""

from django.db import models

from runs.models.run import Run


class RunText(models.Model):
    """Id, prompt and summary of a run, folded by `runs.searching`, which alone writes and asks.

    Beside it a migration keeps an index of all runs of three characters: on SQLite the table
    `runs_runtext_grams` with triggers here, on PostgreSQL the column `grams`.
    """

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="text")
    folded = models.TextField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"text of run {self.run_id}"
