"""Who follows which run, what they were told, and what is on its way to them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from dashboard.notes.models import Note
from runs.models import Run


class Event(models.TextChoices):
    FAILED = "failed", "A run fails"
    STALLED = "stalled", "A run looks stalled"
    COMPLETED = "completed", "A run completes or is cancelled"
    COST = "cost", "A run costs more than the limit"
    MENTIONED = "mentioned", "A note mentions me"


class Channel(models.TextChoices):
    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"


class Pace(models.TextChoices):
    AT_ONCE = "at-once", "At once"
    DAILY = "daily", "Once a day, all together"


class Follow(models.Model):
    """Somebody follows a run, or did. `version`, `status`, `cost_micros`, `stall`: what the run
    was like when it was last compared, so that only what comes after it is told."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, models.CASCADE, related_name="+")
    is_on = models.BooleanField(default=True)
    is_open = models.BooleanField(default=True, help_text="There may be something to tell yet.")
    since = models.DateTimeField()
    batch = models.CharField(
        max_length=32, default="", help_text="Of the act on many runs that made it so last."
    )
    version = models.PositiveBigIntegerField()
    status = models.CharField(max_length=64)
    cost_micros = models.BigIntegerField(null=True)
    stall = models.CharField(max_length=64, default="", help_text="The last one that was told.")

    class Meta:
        app_label = "dashboard"
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["user", "run"], name="one_follow_a_run"),)
        indexes = (
            models.Index(
                fields=["run"], condition=Q(is_on=True, is_open=True), name="notices_follows_open"
            ),
            models.Index(fields=["batch"], condition=~Q(batch=""), name="notices_follows_of_batch"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} follows run {self.run_id}"


class Notice(models.Model):
    """One thing that one person is told, once: `occurrence` tells two of a kind apart."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    run = models.ForeignKey(Run, models.CASCADE, related_name="+")
    event = models.CharField(max_length=16, choices=Event.choices)
    occurrence = models.CharField(max_length=64)
    note = models.ForeignKey(Note, models.CASCADE, null=True, related_name="+")
    at = models.DateTimeField(help_text="When it was noticed.")
    happened_at = models.DateTimeField(help_text="By Case.dev's clock, if it told.")
    # The run as it was then.
    status = models.CharField(max_length=64)
    cost_micros = models.BigIntegerField(null=True)
    limit_micros = models.BigIntegerField(null=True, help_text="That the cost has passed.")
    told = models.CharField(max_length=300, default="", help_text="Why it looks stalled.")
    seen_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "dashboard"
        ordering = ("-id",)
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["user", "run", "event", "occurrence"], name="one_notice_an_occurrence"
            ),
        )
        indexes = (
            models.Index(fields=["user", "-id"], name="notices_of_person"),
            models.Index(fields=["user"], condition=Q(seen_at=None), name="notices_unseen"),
        )

    def __str__(self) -> str:
        return f"{self.event} of run {self.run_id} for {self.user_id}"


class Message(models.Model):
    """What is sent in one piece, about one notice or several. `due_at`: the next try; null: it is
    sent, or given up. The key names it on the way, so that a second try is known as one."""

    class Kind(models.TextChoices):
        SINGLE = "single", "one notice"
        TOGETHER = "together", "many that came at once"
        DIGEST = "digest", "all of a day"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    made_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, default="", help_text="Why the last try failed.")

    class Meta:
        app_label = "dashboard"
        default_permissions = ()
        indexes = (
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="notices_messages_due"
            ),
            models.Index(fields=["user", "channel", "-made_at"], name="notices_messages_lately"),
            models.Index(
                fields=["given_up_at"],
                condition=Q(given_up_at__isnull=False),
                name="notices_given_up",
            ),
        )

    def __str__(self) -> str:
        return f"message {self.pk} by {self.channel} to {self.user_id}"


class Delivery(models.Model):
    """A notice on its way by one channel. Without a message it waits to be put into one, unless
    `dropped` says why it will not be."""

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    message = models.ForeignKey(Message, models.CASCADE, null=True, related_name="deliveries")
    dropped = models.CharField(max_length=200, default="")

    class Meta:
        app_label = "dashboard"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["notice", "channel"], name="one_delivery_a_channel"),
        )
        indexes = (
            models.Index(
                fields=["notice"], condition=Q(message=None, dropped=""), name="notices_waiting"
            ),
        )

    def __str__(self) -> str:
        return f"{self.notice} by {self.channel}"


class NoticeChoice(models.Model):
    """What one person wants to be told, and where. Without a row, the defaults hold."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    switches = models.JSONField(help_text='Events by channel: {"email": ["failed"]}.')
    limit_micros = models.BigIntegerField(null=True, help_text="Null: the site's.")
    pace = models.CharField(max_length=8, choices=Pace.choices, default=Pace.AT_ONCE)
    hour = models.PositiveSmallIntegerField(default=8)
    time_zone = models.CharField(max_length=64, default="UTC")
    digested_on = models.DateField(
        null=True, help_text="Their day that the last digest was made for."
    )
    webhook = models.TextField(default="", help_text="Sealed: notices.sealed.")
    follows_added = models.BooleanField(default=True)
    changed_at = models.DateTimeField()

    class Meta:
        app_label = "dashboard"
        default_permissions = ()

    def __str__(self) -> str:
        return f"what {self.user_id} wants to be told"


class NoticeRules(models.Model):
    """One row: what messages may hold, and the limit for whoever sets none. For admins alone."""

    SOLE: ClassVar = 1

    id = models.SmallIntegerField(primary_key=True, default=SOLE)
    tells_cost = models.BooleanField(default=True)
    tells_title = models.BooleanField(default=False)
    limit_micros = models.BigIntegerField(default=5_000_000)
    changed_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        app_label = "dashboard"
        default_permissions = ()

    def __str__(self) -> str:
        return "what notices may tell"
