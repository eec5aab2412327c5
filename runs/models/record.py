"""What a run is made of, and the bytes that told of it.

Null means that the API gave no value.
"""

from typing import Self

from django.db import models
from django.db.models import Q

from runs import packing
from runs.models.run import Run


class StepQuerySet(models.QuerySet["Step"]):
    def present(self) -> Self:
        """Steps that the API's last answer still held."""
        return self.filter(vanished_at=None)

    def gone(self) -> Self:
        """Steps that it held once."""
        return self.filter(vanished_at__isnull=False)

    def changed_since(self, version: int) -> Self:
        return self.filter(changed_version__gt=version)


class Step(models.Model):
    """One entry of `steps`. `position` counts from 1 in the API's own order; a step that has
    vanished keeps the last one it had."""

    class Type(models.TextChoices):
        OUTPUT = "output"
        THINKING = "thinking"
        TOOL_CALL = "tool_call"
        TOOL_RESULT = "tool_result"

    # No index of its own: `live_changed_steps` begins with the run.
    run = models.ForeignKey(Run, models.CASCADE, related_name="steps", db_index=False)
    position = models.PositiveIntegerField()
    step_id = models.CharField(max_length=200, null=True)
    type = models.CharField(max_length=64, default="")
    content = models.TextField(null=True)
    tool_name = models.CharField(max_length=200, null=True)
    # JSON text as sent: key order, big numbers and escapes stay, on every database alike.
    # Null: the key was absent; the text "null": it was null.
    tool_input = models.TextField(null=True)
    tool_output = models.TextField(null=True)
    duration_ms = models.BigIntegerField(null=True)
    timestamp = models.DateTimeField(null=True)
    vanished_at = models.DateTimeField(null=True)
    changed_version = models.PositiveBigIntegerField(
        help_text="The run's version in which this step came or last changed."
    )
    # What `runs.outlines` derives from the above and from the steps around.
    unanswered = models.BooleanField(
        default=False, help_text="A call that does not carry its own output."
    )
    failed = models.BooleanField(
        default=False, help_text="Its output, or that of its partner, tells of a failure."
    )
    partner = models.PositiveIntegerField(
        null=True, help_text="Position of the result of a call, or of the call of a result."
    )

    objects = StepQuerySet.as_manager()

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=["run", "position"],
                condition=Q(vanished_at=None),
                name="one_step_a_position",
            ),
        )
        indexes = (
            models.Index(fields=["run", "changed_version"], name="live_changed_steps"),
            models.Index(fields=["step_id"], name="admin_step_id"),
            models.Index(
                fields=["run", "type", "tool_name", "failed", "position"],
                condition=Q(vanished_at=None),
                name="timeline_filters",
            ),
            models.Index(
                fields=["run", "position"],
                condition=Q(vanished_at__isnull=False),
                name="timeline_gone",
            ),
            # Calls that nothing has answered first, then by the place of what answers them.
            models.Index(
                fields=["run", "partner", "position"],
                condition=Q(vanished_at=None, unanswered=True),
                name="sync_open_calls",
            ),
            models.Index(
                fields=["run", "position"],
                condition=Q(vanished_at=None, failed=True),
                name="clues_of_steps",
            ),
        )

    def __str__(self) -> str:
        return f"step {self.position}"

    @property
    def is_tool_call(self) -> bool:
        return self.type == self.Type.TOOL_CALL

    @property
    def has_known_type(self) -> bool:
        return self.type in self.Type.values


class UsageEntry(models.Model):
    """One entry of `usage.entries`; `position` counts from 1. Costs are micro-dollars."""

    class Kind(models.TextChoices):
        LLM = "llm"
        API = "api"

    run = models.ForeignKey(Run, models.CASCADE, related_name="entries")
    position = models.PositiveIntegerField()
    entry_id = models.CharField(max_length=200, null=True)
    kind = models.CharField(max_length=64, default="")
    service = models.CharField(max_length=200, null=True)
    endpoint = models.TextField(null=True)
    method = models.CharField(max_length=32, null=True)
    status_code = models.IntegerField(null=True)
    cost_micros = models.BigIntegerField(null=True)
    prompt_tokens = models.BigIntegerField(null=True)
    completion_tokens = models.BigIntegerField(null=True)
    total_tokens = models.BigIntegerField(null=True)
    model = models.CharField(max_length=200, null=True)
    timestamp = models.DateTimeField(null=True)
    metadata = models.TextField(null=True, help_text="JSON text as sent; null if absent.")
    vanished_at = models.DateTimeField(null=True)
    changed_version = models.PositiveBigIntegerField(
        default=0, help_text="The run's version in which this entry came or last changed."
    )

    class Meta:
        ordering = ("position",)
        verbose_name_plural = "usage entries"
        constraints = (
            models.UniqueConstraint(
                fields=["run", "position"],
                condition=Q(vanished_at=None),
                name="one_entry_a_position",
            ),
        )
        indexes = (
            models.Index(fields=["entry_id"], name="admin_entry_id"),
            # In part, or SQLite would count and add up entries by it, and take twice as long.
            models.Index(
                fields=["run", "timestamp"],
                condition=Q(vanished_at=None, timestamp__isnull=False),
                name="match_by_time",
            ),
            models.Index(
                fields=["run", "position"],
                condition=Q(vanished_at=None, status_code__gte=400),
                name="clues_of_entries",
            ),
        )

    def __str__(self) -> str:
        return f"entry {self.position}"

    @property
    def is_error(self) -> bool:
        return self.status_code is not None and self.status_code >= 400


class Revision(models.Model):
    """What a run, a step or an entry said before the API said otherwise. Never deleted.

    What merely gains something it did not have (output, duration) leaves no revision.
    """

    class Of(models.TextChoices):
        RUN = "run"
        STEP = "step"
        ENTRY = "entry"

    run = models.ForeignKey(Run, models.CASCADE, related_name="revisions")
    of = models.CharField(max_length=8, choices=Of.choices)
    position = models.PositiveIntegerField(help_text="0 for the run itself.")
    replaced_version = models.PositiveBigIntegerField()
    replaced_at = models.DateTimeField()
    body = models.TextField(help_text="The earlier row as JSON.")

    class Meta:
        ordering = ("run", "of", "position", "replaced_version")
        indexes = (models.Index(fields=["run", "of", "position"], name="revisions_of_step"),)

    def __str__(self) -> str:
        return f"{self.of} {self.position} before version {self.replaced_version}"


class Payload(models.Model):
    """The bytes of an answer, so that nothing is lost that the columns do not model."""

    class Kind(models.TextChoices):
        GOOD = "good", "last good answer"
        REFUSED = "refused", "last answer that could not be read"

    run = models.ForeignKey(Run, models.CASCADE, related_name="payloads")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    body = models.BinaryField(help_text="As runs.packing compresses.")
    size = models.PositiveBigIntegerField(help_text="Bytes before compression.")
    observed_at = models.DateTimeField()
    error = models.TextField(default="")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "kind"], name="one_payload_a_kind"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.run_id}"

    @property
    def text(self) -> bytes:
        """The body as it came over the wire, decompressed."""
        return packing.unpack(self.body)


class Agent(models.Model):
    """An agent's name, cached: details carry only its id."""

    agent_id = models.CharField(max_length=200, unique=True)
    name = models.CharField(max_length=500, null=True)
    description = models.TextField(null=True)
    model = models.CharField(max_length=200, null=True)
    fetched_at = models.DateTimeField()

    class Meta:
        ordering = ("name", "agent_id")

    def __str__(self) -> str:
        return self.name or self.agent_id
