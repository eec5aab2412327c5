"""Share links, their views and accounts in the admin; the record itself is in `runs.admin`."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from dashboard import sharing
from dashboard.accounts.actions import AccountActions
from dashboard.audit import admin as audit_admin
from dashboard.models import ShareLink, ShareView
from runs.admin.base import RUN_REST, RecordAdmin
from runs.admin.shown import lines, section, shown

__all__ = ["audit_admin"]


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "live"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "live":
                return queryset.live(timezone.now())
            case "ended":
                return queryset.ended(timezone.now())
        return queryset


@admin.register(ShareLink)
class ShareLinkAdmin(RecordAdmin):
    """Links are made on the site, where the token can be shown; here they are only revoked."""

    belongs_to_run = False
    sought_by = ("run__run_id", "created_by__username", "purpose__icontains")
    search_help_text = "A run id or a user name, whole, or words of the purpose."
    actions = ("revoke",)
    ordering = ("-id",)
    list_filter = (StateFilter, ("created_at", admin.DateFieldListFilter))
    list_display = (
        "__str__",
        "purpose",
        "created_by",
        shown("created_at", "created"),
        shown("expires_at", "expires"),
        "state",
        shown("view_count", "views"),
        shown("last_view_at", "last view", absent="none"),
    )
    fieldsets = (
        section(
            "The link",
            "run",
            lines("purpose"),
            "created_by",
            lines("created_at", "expires_at"),
            "state",
        ),
        section("Revoked", lines("revoked_at", absent="no"), "revoked_by"),
        section("Views", lines("view_count", "last_view_at", absent="none")),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        links: Any = super().get_queryset(request)
        return links.for_lists().with_views()

    @admin.display
    def state(self, link: ShareLink) -> str:
        return str(link.state(timezone.now()).label)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dashboard.change_sharelink")

    @admin.action(
        description="Revoke",
        permissions=["revoke"],
        location=[admin.ActionLocation.CHANGE_LIST, admin.ActionLocation.CHANGE_FORM],
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[ShareLink]) -> None:
        assert isinstance(request.user, User)
        revoked = sum(sharing.revoke(link, request.user) for link in queryset)
        self.message_user(request, f"{revoked} {'link' if revoked == 1 else 'links'} revoked.")


@admin.register(ShareView)
class ShareViewAdmin(RecordAdmin):
    belongs_to_run = False
    sought_by = ("link__run__run_id",)
    search_help_text = "A run id, whole."
    ordering = ("-id",)
    list_filter = (("at", admin.DateFieldListFilter),)
    list_display = (shown("at"), "page", "link")
    fieldsets = (section("The view", "link", lines("page", "at")),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShareView]:
        views: QuerySet[ShareView] = super().get_queryset(request)
        unused = ("token_digest", *RUN_REST)
        return views.select_related("link__run").defer(*(f"link__{name}" for name in unused))


if TYPE_CHECKING:
    AnyUserAdmin = UserAdmin[User]  # generic in its stubs only
else:
    AnyUserAdmin = UserAdmin

admin.site.unregister(User)


@admin.register(User)
class AccountAdmin(AccountActions, AnyUserAdmin):
    """Only a superuser touches a superuser, or makes one: the role "admin" is no way to it."""

    show_full_result_count = False
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    GUARDED = ("is_superuser", "user_permissions")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        own = super().get_readonly_fields(request, obj)
        return own if request.user.is_superuser else (*own, *self.GUARDED)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    @staticmethod
    def _may_touch(request: HttpRequest, account: User | None) -> bool:
        return account is None or request.user.is_superuser or not account.is_superuser
