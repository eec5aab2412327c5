"""The schedule in the admin: polls, the state of Case.dev, the walk through its list."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from runs import places
from runs.admin.base import RecordAdmin
from runs.admin.run import PollsRuns
from runs.admin.shown import lines, section, shown, told
from runs.models import Discovery, Poll, Upstream


class TroubleFilter(admin.SimpleListFilter):
    title = "trouble"
    parameter_name = "trouble"
    KINDS: ClassVar[dict[str, dict[str, Any]]] = {
        "quarantined": {"quarantined_at__isnull": False},
        "failing": {"quarantined_at": None, "failures__gt": 0},
        "none": {"quarantined_at": None, "failures": 0},
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in self.KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Poll]) -> QuerySet[Poll]:
        return queryset.filter(**self.KINDS.get(self.value() or "", {}))


@admin.register(Poll)
class PollAdmin(PollsRuns):
    sought_by = ("run__run_id", "run__run_id__startswith")
    search_help_text = "A run id, or its beginning."
    actions = ("poll_now", "lift_quarantine")
    ordering = ("-run_id",)
    list_filter = (
        TroubleFilter,
        "lane",
        ("due_at", admin.EmptyFieldListFilter),
        ("last_ok_at", admin.DateFieldListFilter),
    )
    list_display = (
        "run",
        "lane",
        shown("due_at", "due", absent="never again"),
        shown("failures"),
        shown("sync_failures"),
        shown("quarantined_at", "quarantined", absent="no"),
        shown("last_ok_at", "last good answer", absent="never"),
        "error",
    )
    fieldsets = (
        section(
            "The schedule",
            "run",
            "lane",
            lines("due_at", absent="never again"),
            lines("leased_until", "fence", "settle_polls", absent="no"),
        ),
        section(
            "How it goes",
            lines("last_tried_at", "last_ok_at", "last_error_at", absent="never"),
            lines("last_error", "failures", "sync_failures"),
            lines("quarantined_at", absent="no"),
        ),
    )

    def view_on_site(self, poll: Poll) -> str:
        return poll.run.get_absolute_url()

    @admin.display(description="last error")
    def error(self, poll: Poll) -> str:
        return told("last_error", poll.last_error[:100])

    @admin.action(
        description="Lift quarantine",
        permissions=["poll"],
        location=[admin.ActionLocation.CHANGE_LIST, admin.ActionLocation.CHANGE_FORM],
    )
    def lift_quarantine(self, request: HttpRequest, queryset: QuerySet[Poll]) -> None:
        held = list(queryset.exclude(quarantined_at=None))
        for poll in held:
            places.lift_quarantine(poll.run)
        words = "run goes on" if len(held) == 1 else "runs go on"
        self.message_user(request, f"{len(held)} {words}; due now.")


@admin.register(Upstream)
class UpstreamAdmin(RecordAdmin):
    belongs_to_run = False
    list_display = ("__str__", shown("since"), shown("failures"), shown("last_ok_at"))
    fieldsets = (
        section(
            "Case.dev",
            "state",
            lines("since", "failures", "last_ok_at", "last_error", "probe_at", absent="–"),
        ),
    )


@admin.register(Discovery)
class DiscoveryAdmin(RecordAdmin):
    belongs_to_run = False
    list_display = ("__str__", shown("found"), shown("walked_at"), shown("last_ok_at"))
    fieldsets = (
        section(
            "The walk through the list of runs",
            lines("due_at", "leased_until", "fence", "cursor", "walked_at", "found", absent="–"),
            lines("failures", "last_ok_at", "last_error", absent="–"),
        ),
    )
