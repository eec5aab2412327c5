"""The admin's own door is the site's: one login, one place for every later rule about it."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache


class RunsheetAdminSite(AdminSite):
    site_title = "Runsheet"
    site_header = "Runsheet administration"
    index_title = "The record, links and accounts"
    enable_nav_sidebar = False  # the lists of the record need its width

    # Tables of allauth: secrets, and facts of which a change by hand would be an attack. What an
    # administrator does about them are actions on the account.
    HIDDEN = frozenset({"account", "mfa", "socialaccount", "usersessions"})

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        models: list[Any] = (
            [model_or_iterable] if isinstance(model_or_iterable, type) else [*model_or_iterable]
        )
        shown = [model for model in models if model._meta.app_label not in self.HIDDEN]
        super().register(shown, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Whoever has the role "admin" enters without a second switch to be set."""
        return super().has_permission(request) or request.user.has_perm("auth.change_user")

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Leads to the site's login; somebody signed in who may not enter is told so."""
        onward = request.GET.get("next", "")
        if not url_has_allowed_host_and_scheme(onward, {request.get_host()}, request.is_secure()):
            onward = reverse("admin:index")
        if not request.user.is_authenticated:
            return redirect_to_login(onward)
        if not self.has_permission(request):
            raise PermissionDenied("Your account may not open the administration.")
        return HttpResponseRedirect(onward)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The site's page, which ends all other sessions with the old password."""
        return HttpResponseRedirect(reverse("account_change_password"))
