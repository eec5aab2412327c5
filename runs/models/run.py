"""What Case.dev said of a run as a whole, kept as faithfully as columns allow.

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
            # What has not ended and yet tells an end, which hardly any run does.
            models.Index(
                fields=["-lasted_micros", "-id", "status"],
                condition=Q(status__in=("queued", "running"), lasted_micros__isnull=False),
                name="list_strange_lengths",
            ),
            # Of what runs: the longest, and who has told no step for longest.
            # The status stands in them too, or SQLite takes an index that knows nothing else.
            models.Index(
                fields=["status", "started_at"],
                condition=Q(status="running"),
                name="overview_running",
            ),
            models.Index(
                fields=["status", "last_step_at", "step_count", "started_at"],
                condition=Q(status="running"),
                name="overview_silent",
            ),
            models.Index(
                fields=["end_read_at", "status"],
                condition=Q(end_read_at__isnull=False),
                name="news_of_ends",
            ),
            models.Index(
                fields=["completed_at", "status"],
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
