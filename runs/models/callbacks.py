"""Callbacks that Case.dev was asked for: it may call when a run ends, so that we ask sooner."""

from django.db import models

from runs.models.run import Run


class Callback(models.Model):
    """One a run. `next_at`: when registering is tried again; null: it is done, or given up."""

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="callback")
    token_digest = models.BinaryField(
        max_length=32, unique=True, help_text="SHA-256 of the token in the callback's address."
    )
    attempts = models.PositiveSmallIntegerField(default=0, help_text="To register it.")
    next_at = models.DateTimeField(null=True)
    registered_at = models.DateTimeField(null=True)
    called_at = models.DateTimeField(null=True, help_text="The last time that it was called.")
    last_error = models.TextField(default="")

    class Meta:
        default_permissions = ()
        indexes = (
            models.Index(
                fields=["next_at"],
                condition=models.Q(next_at__isnull=False),
                name="register_due",
            ),
            models.Index(
                fields=["called_at"],
                condition=models.Q(called_at__isnull=False),
                name="called_lately",
            ),
        )

    def __str__(self) -> str:
        return f"callback of run {self.run_id}"
