"""A run's steps in brief, so that a page of a run costs the same whatever its length."""

from django.db import models

from runs.models.run import Run


class Outline(models.Model):
    """Derived from the steps by `runs.outlines`, which alone reads and writes it.

    A run without a row has no steps, or was stored before there were outlines.
    """

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="outline")
    rule = models.PositiveSmallIntegerField(
        help_text="Of outcomes.RULE, by which the steps were judged."
    )
    body = models.BinaryField(help_text="A runs.outlines.Tally as MessagePack.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"outline of run {self.run_id}"
