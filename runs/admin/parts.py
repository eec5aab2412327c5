"""What a run is made of, in the admin: steps, usage entries, earlier versions, raw payloads."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Left
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from runs import packing
from runs.admin.base import RecordAdmin, one_of, opening
from runs.admin.shown import LONG, head, lines, octets, section, shown
from runs.models import Payload, Revision, Step, UsageEntry


@admin.register(Step)
class StepAdmin(RecordAdmin):
    heavy = ("content", "tool_input", "tool_output")
    sought_by = ("run__run_id", "step_id")
    search_help_text = "A run id or a step id, each whole."
    ordering = ("-id",)
    list_filter = (
        one_of("type", "type", Step.Type.choices),
        ("vanished_at", admin.EmptyFieldListFilter),
    )
    list_display = (
        "__str__",
        "run",
        shown("type"),
        shown("tool_name", "tool"),
        opening("words", "begins"),
        shown("duration_ms", "took"),
        shown("timestamp", "at"),
    )
    fieldsets = (
        section(
            "The step",
            "run",
            lines("position", "step_id", "type", "timestamp", "duration_ms", "tool_name"),
        ),
        section("What it holds", lines("content", "tool_input", "tool_output")),
        section("What we made of it", lines("changed_version", "vanished_at", absent="no")),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        queryset: QuerySet[Step] = super().get_queryset(request)
        return queryset.annotate(words=Left(Coalesce("content", "tool_input"), 80))

    def view_on_site(self, step: Step) -> str:
        return reverse("step", args=[step.run.run_id, step.position])


@admin.register(UsageEntry)
class UsageEntryAdmin(RecordAdmin):
    heavy = ("metadata",)
    sought_by = ("run__run_id", "entry_id")
    search_help_text = "A run id or an entry id, each whole."
    ordering = ("-id",)
    list_filter = (one_of("kind", "kind", UsageEntry.Kind.choices),)
    list_display = (
        "__str__",
        "run",
        shown("kind"),
        shown("service"),
        shown("endpoint"),
        shown("status_code", "status"),
        shown("total_tokens", "tokens"),
        shown("cost_micros", "cost"),
        shown("timestamp", "at"),
    )
    fieldsets = (
        section(
            "The entry",
            "run",
            lines("position", "entry_id", "kind", "service", "endpoint", "method", "status_code"),
            lines("model", "prompt_tokens", "completion_tokens", "total_tokens", "cost_micros"),
            lines("timestamp", "metadata"),
            lines("vanished_at", absent="no"),
        ),
    )

    def view_on_site(self, entry: UsageEntry) -> str:
        return reverse("run-cost", args=[entry.run.run_id])


@admin.register(Revision)
class RevisionAdmin(RecordAdmin):
    heavy = ("body",)
    sought_by = ("run__run_id",)
    search_help_text = "A run id, whole."
    ordering = ("-id",)
    list_filter = ("of", ("replaced_at", admin.DateFieldListFilter))
    list_display = ("__str__", "run", "of", shown("position"), shown("replaced_at", "replaced"))
    fieldsets = (
        section(
            "What it said before",
            "run",
            "of",
            lines("position", "replaced_version", "replaced_at", "body"),
        ),
    )


@admin.register(Payload)
class PayloadAdmin(RecordAdmin):
    """The raw answer: behind `runs.view_payload`, as text or as a download, never as a page."""

    heavy = ("body",)
    sought_by = ("run__run_id",)
    search_help_text = "A run id, whole."
    ordering = ("-id",)
    list_filter = ("kind", ("observed_at", admin.DateFieldListFilter))
    list_display = ("run", "kind", "bytes", shown("observed_at", "observed"), shown("error"))
    list_display_links = ("kind",)

    @admin.display(description="size", ordering="size")
    def bytes(self, payload: Payload) -> str:
        return octets(payload.size)

    @admin.display
    def begins(self, payload: Payload) -> SafeString:
        """Only as much is decompressed as is shown."""
        start = packing.beginning(payload.body, LONG)
        return head(start.decode("utf-8", "replace"), payload.size)

    @admin.display
    def download(self, payload: Payload) -> SafeString:
        address = reverse("admin:runs_payload_download", args=[payload.pk])
        words = f"all of it, as it came ({octets(payload.size)})"
        return format_html('<a href="{}">{}</a>', address, words)

    fieldsets = (
        section(
            "The answer",
            "run",
            "kind",
            lines("observed_at", "error"),
            "bytes",
            "download",
            "begins",
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        download = self.admin_site.admin_view(self.download_view)
        named = path("<int:pk>/download/", download, name="runs_payload_download")
        return [named, *super().get_urls()]

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bytes as they came, in no form that a browser would run or show."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        payload: Any = Payload.objects.select_related("run").filter(pk=pk).first()
        if payload is None:
            raise Http404
        return HttpResponse(
            payload.text,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": f'attachment; filename="{payload.run.run_id}.json"',
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )
