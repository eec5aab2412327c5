"""What Case.dev said of a run, kept as faithfully as columns allow.

Null means that the API gave no value. Whether the key was absent or was `null` is told by
`Run.unreported`; the bytes themselves are in `Payload`.
"""

import datetime as dt
from collections.abc import Sequence
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.urls import reverse

from runs import packing

SIEVE = "status", "agent_id"  # in the index of each order, so that runs passed by are not read


class RunQuerySet(models.QuerySet["Run"]):
    def active(self) -> Self:
        return self.filter(status__in=Run.ACTIVE)

    def terminal(self) -> Self:
        return self.filter(status__in=Run.TERMINAL)

    def failed(self) -> Self:
        return self.filter(status=Run.Status.FAILED)

    def for_lists(self) -> Self:
        """Without the columns that may hold megabytes, which no list shows."""
        return self.defer("output", "logs", "guidance", "unreported", "contradictions")


class Run(models.Model):
    """One agent run. Field names are the API's own, in snake case; `result.*` and `usage.*`
    are flattened where the name stays clear."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE: ClassVar = (Status.QUEUED, Status.RUNNING)
    TERMINAL: ClassVar = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

    run_id = models.CharField(max_length=128, unique=True)
    agent_id = models.CharField(max_length=200, null=True)
    # Kept as it was sent, also when it is none of Status; "" when nothing was sent yet.
    status = models.CharField(max_length=64, default="")
    prompt = models.TextField(null=True)
    prompt_is_cut = models.BooleanField(
        default=False, help_text="Known from the list only, which gives 200 characters."
    )
    prompt_key = models.CharField(
        max_length=32, null=True, help_text="See runs.prompts; null while the prompt is cut."
    )
    guidance = models.TextField(null=True)
    model = models.CharField(max_length=200, null=True, help_text="This run's override, if any.")
    workflow_id = models.CharField(max_length=200, null=True)
    modal_sandbox_id = models.CharField(max_length=200, null=True)
    provider = models.CharField(max_length=64, null=True)
    runtime_id = models.CharField(max_length=200, null=True)
    runtime_state = models.CharField(max_length=64, null=True)

    # result
    output = models.TextField(null=True)
    output_object_ids = models.JSONField(null=True)
    summary = models.TextField(null=True)
    created_object_ids = models.JSONField(null=True)
    issues = models.JSONField(null=True)
    logs = models.JSONField(null=True, help_text="Pairs of name and text, in the API's order.")

    # usage
    usage_model = models.CharField(max_length=200, null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    tool_calls = models.BigIntegerField(null=True)
    duration_ms = models.BigIntegerField(null=True)
    summary_cost_micros = models.BigIntegerField(null=True)
    total_input_tokens = models.BigIntegerField(null=True)
    total_output_tokens = models.BigIntegerField(null=True)
    total_tokens = models.BigIntegerField(null=True)

    created_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    # What pages sort and filter by; sync derives it from the same payload.
    step_count = models.PositiveIntegerField(default=0)
    tool_call_count = models.PositiveIntegerField(default=0)
    entry_count = models.PositiveIntegerField(
        null=True, help_text="Null while the API reports no list of entries."
    )
    entries_cost_micros = models.BigIntegerField(null=True)
    entries_version = models.PositiveBigIntegerField(
        null=True, help_text="In which the entries last changed; null if before this was kept."
    )
    cost_micros = models.BigIntegerField(
        null=True, help_text="The summary's cost, else the sum of entries, else not reported."
    )
    last_step_at = models.DateTimeField(null=True)
    failure_cause = models.TextField(default="")
    lasted_micros = models.BigIntegerField(
        null=True, help_text="Microseconds from start to end; null while one is not reported."
    )
    going_since = models.DateTimeField(
        null=True, help_text="started_at of what has not ended, else null."
    )
    end_read_at = models.DateTimeField(
        null=True,
        help_text="When we read that it had ended; null if it had when we first saw it.",
    )
    listed_at = models.DateTimeField(help_text="created_at, or when we first saw the run.")
    odd_at = models.DateTimeField(
        null=True, help_text="listed_at where the record disagrees with itself, else null."
    )

    unreported = models.JSONField(
        default=list, help_text="Reference fields whose key was absent from the last payload."
    )
    contradictions = models.JSONField(
        default=list, help_text="What the API said that cannot be: objects of text and at."
    )
    first_seen_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    version = models.PositiveBigIntegerField(default=0, help_text="Rises with each change seen.")

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ("-listed_at", "-id")
        indexes = (
            models.Index(fields=["-listed_at", "-id", *SIEVE], name="list_newest"),
            models.Index(fields=["status", "-listed_at", "-id", "agent_id"], name="list_by_status"),
            models.Index(fields=["agent_id", "-listed_at", "-id", "status"], name="list_by_agent"),
            models.Index(
                Coalesce("usage_model", "model"), models.F("listed_at").desc(), name="list_by_model"
            ),
            models.Index(fields=["-cost_micros", "-id", *SIEVE], name="list_by_cost"),
            models.Index(fields=["-started_at", "-id", *SIEVE], name="list_by_start"),
            models.Index(fields=["-completed_at", "-id", *SIEVE], name="list_by_end"),
            models.Index(fields=["-lasted_micros", "-id", *SIEVE], name="list_by_length"),
            # Of what goes on, the earliest start is the longest.
            models.Index(
                fields=["going_since", "-id", *SIEVE],
                condition=Q(going_since__isnull=False),
                name="list_going",
            ),
            models.Index(fields=["status", "-completed_at", "-id"], name="overview_failures"),
            models.Index(
                fields=["-odd_at", "-id"], condition=Q(odd_at__isnull=False), name="overview_odd"
            ),
            models.Index(
                fields=["end_read_at"], condition=Q(end_read_at__isnull=False), name="news_of_ends"
            ),
            models.Index(
                fields=["completed_at"],
                condition=Q(end_read_at=None, completed_at__isnull=False),
                name="news_of_found",
            ),
            models.Index(fields=["-step_count", "-id", *SIEVE], name="list_by_steps"),
            models.Index(fields=["prompt_key", "-id"], name="compare_same_prompt"),
        )

    def __str__(self) -> str:
        return self.run_id

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.run_id])

    @property
    def is_read(self) -> bool:
        """Whether its details were ever read. Else the list alone told of it, and what that does
        not tell is not known."""
        return self.version > 0

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    @property
    def may_wait(self) -> bool:
        """Whether it may have had no start: queued, or cancelled while it was."""
        is_cancelled = self.status == self.Status.CANCELLED and not self.step_count
        return self.started_at is None and (self.status == self.Status.QUEUED or is_cancelled)

    @property
    def is_terminal(self) -> bool:
        return self.status in self.TERMINAL

    @property
    def has_known_status(self) -> bool:
        return self.status in self.Status.values

    @property
    def disagrees(self) -> bool:
        """Whether its record does not agree with itself."""
        costs = self.summary_cost_micros, self.entries_cost_micros
        return disagree(self.status, *costs, self.contradictions)

    @property
    def effective_model(self) -> str | None:
        """The model that did the work: `usage.model`, else the override."""
        return self.usage_model or self.model

    def elapsed(self, now: dt.datetime) -> dt.timedelta | None:
        """From start to end, or to `now` while it runs; None before it starts."""
        if self.started_at is None:
            return None
        end = self.completed_at or (now if not self.is_terminal else None)
        return max(end - self.started_at, dt.timedelta(0)) if end else None


def disagree(status: str, summary: int | None, entries: int | None, told: Sequence[object]) -> bool:
    """Whether a status is unknown, an end leaves two costs, or contradictions were `told`."""
    is_strange = bool(status) and status not in Run.Status
    has_ended = status in Run.TERMINAL and None not in (summary, entries)
    return is_strange or bool(told) or (has_ended and summary != entries)


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
