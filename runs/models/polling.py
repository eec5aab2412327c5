"""When we ask Case.dev next, and how the asking goes. Narrow rows, written all the time."""

import datetime as dt
from typing import Self

from django.db import models
from django.db.models import Q

from runs.models.run import Run


class PollQuerySet(models.QuerySet["Poll"]):
    def scheduled(self) -> Self:
        """What will be asked about again. The lanes lead SQLite to the index."""
        return self.filter(lane__in=Poll.Lane.values, due_at__isnull=False)

    def due(self, now: dt.datetime, early: dt.timedelta = dt.timedelta()) -> Self:
        """What is due or will be `early`, and held by nobody now."""
        return self.filter(
            Q(leased_until=None) | Q(leased_until__lte=now), due_at__lte=now + early
        ).order_by("lane", "due_at")

    def free(self, now: dt.datetime, run: int) -> Self:
        """The poll of `run`, due or not, unless somebody holds it."""
        return self.filter(Q(leased_until=None) | Q(leased_until__lte=now), pk=run)

    def late(self, now: dt.datetime, grace: dt.timedelta) -> Self:
        """Polls of active runs that should have happened more than `grace` ago."""
        return self.filter(lane__in=Poll.MOVING, due_at__lt=now - grace)


class Poll(models.Model):
    """A run's place in the schedule. `due_at` null: never again."""

    class Lane(models.IntegerChoices):
        """Who goes first when more is due than can be asked for."""

        WATCHED = -1, "may change at any moment; somebody looks at it"
        ACTIVE = 0, "may change at any moment"
        SETTLING = 1, "ended; late costs may come"

    MOVING = (Lane.WATCHED, Lane.ACTIVE)

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="poll")
    lane = models.SmallIntegerField(choices=Lane.choices, default=Lane.ACTIVE)
    due_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    fence = models.PositiveBigIntegerField(default=0, help_text="Rises with each claim.")
    failures = models.PositiveIntegerField(default=0, help_text="In a row, of any kind.")
    sync_failures = models.PositiveIntegerField(
        default=0, help_text="In a row, in reading or storing a good answer."
    )
    settle_polls = models.PositiveSmallIntegerField(
        default=0, help_text="Good polls since the run ended."
    )
    quarantined_at = models.DateTimeField(null=True)
    last_tried_at = models.DateTimeField(null=True)
    last_ok_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    last_error_at = models.DateTimeField(null=True)
    seen_digest = models.BinaryField(
        default=bytes, help_text="Of the last body that was stored: the same bytes need no work."
    )

    objects = PollQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(
                fields=["lane", "due_at"], condition=Q(due_at__isnull=False), name="claim_due"
            ),
            models.Index(
                fields=["-last_error_at"], condition=Q(failures__gt=0), name="status_failing"
            ),
            models.Index(
                fields=["-quarantined_at", "-run"],
                condition=Q(quarantined_at__isnull=False),
                name="overview_unread",
            ),
        )

    def __str__(self) -> str:
        return f"poll of run {self.run_id}"


class Upstream(models.Model):
    """One row: whether Case.dev answers us. The circuit breaker of the API key."""

    class State(models.TextChoices):
        UP = "up", "answers"
        DOWN = "down", "does not answer"
        REFUSED = "refused", "refuses our key"

    SOLE = 1

    state = models.CharField(max_length=8, choices=State.choices, default=State.UP)
    since = models.DateTimeField(null=True, help_text="When the state was entered.")
    failures = models.PositiveIntegerField(default=0, help_text="In a row, over all runs.")
    last_ok_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    probe_at = models.DateTimeField(null=True, help_text="The next try while down.")
    paused_until = models.DateTimeField(null=True, help_text="A rate limit asks for this.")

    class Meta:
        verbose_name_plural = "upstream"

    def __str__(self) -> str:
        return f"Case.dev {self.get_state_display()}"

    def is_paused(self, now: dt.datetime) -> bool:
        return self.paused_until is not None and self.paused_until > now


class Discovery(models.Model):
    """One row: how far the walk through the list of runs has come."""

    SOLE = 1

    due_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    fence = models.PositiveBigIntegerField(default=0)
    cursor = models.CharField(
        max_length=200, default="", help_text="Where the first walk goes on; empty: at the top."
    )
    walked_at = models.DateTimeField(null=True, help_text="When the first walk reached the end.")
    found = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    last_ok_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="")

    class Meta:
        verbose_name_plural = "discovery"

    def __str__(self) -> str:
        return "discovery"
