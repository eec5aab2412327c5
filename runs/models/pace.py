"""How an agent's finished runs went: what tells a run that stands still from a slow one."""

from django.db import models

from runs.models.run import Run


class Pace(models.Model):
    """One narrow row for each run that completed, written once. Spans are null where the record
    lacks a time."""

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="pace")
    agent_id = models.CharField(max_length=200)
    wait_ms = models.BigIntegerField(null=True, help_text="From creation to start.")
    silence_ms = models.BigIntegerField(
        null=True, help_text="The longest time without a new step, from start to end."
    )
    length_ms = models.BigIntegerField(null=True, help_text="From start to end.")

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=["agent_id", "-run"], name="recent_of_agent"),)

    def __str__(self) -> str:
        return f"pace of run {self.run_id}"
