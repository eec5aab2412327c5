"""Runs and agents in the admin."""

import datetime as dt
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.db import models, transaction
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils import timezone

from runs import poller, searching
from runs.admin.base import Bounded, RecordAdmin, one_of, opening
from runs.admin.shown import lines, section, shown, told
from runs.models import Agent, Run

POLLED_AT_ONCE = 20


class AgentFilter(admin.SimpleListFilter):
    title = "agent"
    parameter_name = "agent_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        agents = Agent.objects.only("agent_id", "name").order_by("name", "agent_id")[:200]
        return [(agent.agent_id, str(agent)) for agent in agents]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Run]
    ) -> models.QuerySet[Run]:
        return queryset.filter(agent_id=self.value()) if self.value() else queryset


class PollsRuns(RecordAdmin):
    """Adds "Poll now" to a list whose rows are runs or stand for one."""

    def has_poll_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("runs.change_poll")

    @admin.action(
        description="Poll now",
        permissions=["poll"],
        location=[admin.ActionLocation.CHANGE_LIST, admin.ActionLocation.CHANGE_FORM],
    )
    def poll_now(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        chosen = queryset.order_by().values("pk")[: POLLED_AT_ONCE + 1]
        runs = list(Run.objects.filter(pk__in=chosen).only("run_id", "status"))
        if len(runs) > POLLED_AT_ONCE:
            words = f"Choose at most {POLLED_AT_ONCE} runs: each is asked for while you wait."
            self.message_user(request, words, messages.WARNING)
            return
        # A change page posts within a transaction, and none is held while Case.dev answers.
        transaction.on_commit(partial(self._poll, request, runs))

    def _poll(self, request: HttpRequest, runs: list[Run]) -> None:
        for run in runs:
            self.message_user(request, poller.poll_now(run))


COST = shown("cost_micros", "cost")
STEPS = shown("step_count", "steps")
CREATED = shown("listed_at", "created")


@admin.register(Run)
class RunAdmin(PollsRuns):
    belongs_to_run = False
    heavy = (
        "prompt",
        "guidance",
        "output",
        "output_object_ids",
        "summary",
        "created_object_ids",
        "issues",
        "logs",
        "unreported",
        "contradictions",
        "failure_cause",
    )
    sought_by = ("run_id", "agent_id", "run_id__startswith")
    search_help_text = "A run id or its beginning, an agent id, or words of prompt or summary."
    sortable_by = ("run_id", COST, STEPS, CREATED)  # type: ignore[assignment]
    actions = ("poll_now",)
    list_filter = (
        one_of("status", "status", Run.Status.choices),
        AgentFilter,
        ("listed_at", admin.DateFieldListFilter),
    )
    list_select_related = ("poll",)
    ordering = ("-listed_at",)
    list_display = (
        "run_id",
        "status",
        "agent",
        opening("prompt_start", "prompt"),
        COST,
        STEPS,
        CREATED,
        "took",
        "last_error",
    )
    fieldsets = (
        section(
            "The run",
            lines("run_id", "agent_id", "status", "failure_cause"),
            lines("created_at", "started_at", "completed_at"),
            lines("workflow_id", "modal_sandbox_id", "provider", "runtime_id", "runtime_state"),
        ),
        section("What was asked", lines("prompt", "prompt_is_cut", "guidance", "model")),
        section(
            "Result",
            lines("output", "output_object_ids", "summary", "created_object_ids", "issues", "logs"),
        ),
        section(
            "Usage",
            lines("usage_model", "input_tokens", "output_tokens", "tool_calls", "duration_ms"),
            lines("total_input_tokens", "total_output_tokens", "total_tokens"),
            lines("summary_cost_micros", "entries_cost_micros", "cost_micros"),
        ),
        section(
            "What we made of it",
            lines("step_count", "tool_call_count", "entry_count", "last_step_at", "listed_at"),
            lines("first_seen_at", "changed_at", "version", "unreported", "contradictions"),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Run]:
        named = Agent.objects.filter(agent_id=models.OuterRef("agent_id")).values("name")[:1]
        runs: models.QuerySet[Run] = super().get_queryset(request)
        return runs.annotate(prompt_start=Left("prompt", 100), agent_name=models.Subquery(named))

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Run], search_term: str
    ) -> tuple[models.QuerySet[Run], bool]:
        found, has_doubles = super().get_search_results(request, queryset, search_term)
        term = search_term.strip().replace("\x00", "")
        if not term or found.exists():
            return found, has_doubles
        sought = searching.seek(term)
        request.counter = partial(sought.how_many, queryset)  # type: ignore[attr-defined]
        return sought.among(queryset), False

    def get_paginator(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        paginator = cast(Bounded, super().get_paginator(request, *args, **options))
        paginator.counter = getattr(request, "counter", None)
        return paginator

    def view_on_site(self, run: Run) -> str:
        return run.get_absolute_url()

    @admin.display(ordering="agent_id")
    def agent(self, run: Run) -> str | None:
        return run.agent_name or run.agent_id  # type: ignore[attr-defined]

    @admin.display
    def took(self, run: Run) -> str:
        span = run.elapsed(timezone.now())
        return "not started" if span is None else str(span - dt.timedelta(0, 0, span.microseconds))

    @admin.display
    def last_error(self, run: Run) -> str:
        poll = getattr(run, "poll", None)
        return told("last_error", poll.last_error[:100] if poll else None, "no poll")


@admin.register(Agent)
class AgentAdmin(RecordAdmin):
    belongs_to_run = False
    heavy = ("description",)
    sought_by = ("agent_id", "name__icontains")
    search_help_text = "An agent id, or part of a name."
    list_display = ("agent_id", shown("name"), shown("model"), shown("fetched_at"))
    list_filter = (("fetched_at", admin.DateFieldListFilter),)
    fieldsets = (
        section("The agent", lines("agent_id", "name", "description", "model", "fetched_at")),
    )
