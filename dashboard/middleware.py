"""What stands around every view: who is let through to it, and what its answer carries."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import render

from dashboard.accounts import factors, given, sessions

SHARED_PREFIX = "/s/"
ACCOUNT_PREFIX = "/accounts/"

# Answers given before the middleware that knows better: a Host header that is not ours, say.
AT_LEAST = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; report-uri /csp-reports/",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate(LoginRequiredMiddleware):
    """Denies by default. A view is open to strangers only if it says so (`login_not_required`);
    behind the login, only an account with a role gets further than its own pages, and with a
    second factor where one is asked."""

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if not getattr(view_func, "login_required", True):
            return None
        refusal = super().process_view(request, view_func, view_args, view_kwargs)
        if refusal is not None:
            return refusal
        if sessions.is_over(request):
            logout(request)
            messages.info(request, "You were signed out: no session lives longer than this one.")
            return self.handle_no_permission(request, view_func)
        sessions.keep_alive(request)
        if (detour := given.lead(request)) is not None:
            return detour
        if request.path_info.startswith(ACCOUNT_PREFIX):
            return None
        if not request.user.has_perm("runs.view_run"):
            return render(request, "account/no_role.html", status=403)
        return factors.lead(request, factors.reason_on_every_page(request.user))

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        return sessions.send_cookie(request, response)


def sealed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Of a shared page no copy in any cache, no search engine, no token in the Referer of a link
    that is followed.

    Here and not in the views: a 404, a 405, a redirect to https and an error page leak alike.
    """
    if request.path_info.startswith(SHARED_PREFIX):
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
        response.headers["Referrer-Policy"] = "no-referrer"
    for name, value in AT_LEAST.items():
        response.headers.setdefault(name, value)
    return response


def is_worth_packing(response: HttpResponseBase) -> bool:
    """A page: a quarter of its bytes as gzip. Streams wait for nothing, files are packed already,
    and a refusal is the same to the byte for everybody."""
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    return is_page and response.status_code == 200 and not response.streaming


def packed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """`response` as gzip for whoever takes it.

    Its length tells nobody what is on it (BREACH): cookies come with no request that another
    site makes, tokens are masked anew on each page, and Django adds up to a hundred random bytes.
    """
    return _gzip.process_response(request, response)


_gzip = GZipMiddleware(lambda request: HttpResponse())


def shared_headers(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    def answer(request: HttpRequest) -> HttpResponseBase:
        response = sealed(request, get_response(request))
        return packed(request, response) if is_worth_packing(response) else response

    return answer
