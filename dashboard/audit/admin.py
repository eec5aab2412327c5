"""The audit log in the admin: to read, by person, run, act, result and day."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from dashboard.audit.models import Act, AuditEntry, Result
from runs.admin.base import RecordAdmin, one_of
from runs.admin.shown import lines, section, shown


class PersonFilter(admin.SimpleListFilter):
    title = "person"
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = User.objects.order_by("username").values_list("pk", "username")
        return [(str(pk), name) for pk, name in people[:200]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        key = self.value() or ""
        return queryset.filter(person=int(key)) if key.isdecimal() and len(key) < 19 else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    belongs_to_run = False
    sought_by = ("run", "name")
    search_help_text = "A run id or a user name, whole."
    ordering = ("-number",)
    list_filter = (
        one_of("act", "act", Act.choices),
        one_of("result", "result", Result.choices),
        PersonFilter,
        ("at", admin.DateFieldListFilter),
    )
    list_display = (
        "number",
        shown("at"),
        shown("name", absent="–"),
        "act",
        "result",
        "page",
        shown("run", absent="–"),
        shown("link", absent="–"),
        "detail",
        "address",
    )
    fieldsets = (
        section("Who", "name", lines("person", "link", absent="–"), "address"),
        section("What", lines("at"), "act", "result", "page", "run", "detail"),
        section("The chain", "number", "sha256"),
    )

    @admin.display(description="SHA-256")
    def sha256(self, entry: AuditEntry) -> str:
        return bytes(entry.digest).hex()
