"""Notes, mentions and labels. A note that is taken back stays as a row without its text."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from runs.models import Run


class Note(models.Model):
    run = models.ForeignKey(Run, models.CASCADE, related_name="notes")
    position = models.PositiveIntegerField(null=True, help_text="Of a step; null: on the run.")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="notes")
    text = models.TextField()
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "dashboard"
        ordering = ("created_at", "id")
        default_permissions = ()
        indexes = (models.Index(fields=["run", "created_at"], name="notes_of_run"),)

    def __str__(self) -> str:
        return f"note {self.pk} on {self.run}"


class Mention(models.Model):
    """Somebody was named in a note, and has or has not looked since."""

    note = models.ForeignKey(Note, models.CASCADE, related_name="mentions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="mentions")
    seen_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "dashboard"
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["note", "user"], name="one_mention_each"),)
        indexes = (
            models.Index(fields=["user"], condition=Q(seen_at=None), name="mentions_unseen"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.note}"


class Label(models.Model):
    name = models.CharField(max_length=40)

    class Meta:
        app_label = "dashboard"
        ordering = (Lower("name"),)
        default_permissions = ()
        constraints = (models.UniqueConstraint(Lower("name"), name="one_label_a_name"),)

    def __str__(self) -> str:
        return self.name


class RunLabel(models.Model):
    run = models.ForeignKey(Run, models.CASCADE, related_name="run_labels")
    label = models.ForeignKey(Label, models.CASCADE, related_name="run_labels")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        app_label = "dashboard"
        ordering = (Lower("label__name"),)
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["label", "run"], name="one_label_a_run"),)

    def __str__(self) -> str:
        return f"{self.label} on {self.run}"


class StepLabel(models.Model):
    """On whatever stands at `position` of the run, as notes are."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="step_labels")
    position = models.PositiveIntegerField()
    label = models.ForeignKey(Label, models.CASCADE, related_name="step_labels")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        app_label = "dashboard"
        ordering = ("position", Lower("label__name"))
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["run", "position", "label"], name="one_label_a_step"),
        )

    def __str__(self) -> str:
        return f"{self.label} on step {self.position} of {self.run}"
