"""Where browsers report what the policy stopped (`report-uri` in every answer's policy)."""

from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from dashboard import violations, visitors


@csrf_exempt  # a browser sends reports by itself; they change nothing but a count
@login_not_required
@never_cache
@require_POST
def report(request: HttpRequest) -> HttpResponse:
    """204 for what was counted; 403 to other sites, 413, 400, and 429 past the ration."""
    if not _is_of_this_site(request):
        return HttpResponse(status=403)
    body = request.read(violations.LONGEST + 1)
    if len(body) > violations.LONGEST:
        return HttpResponse(status=413)
    try:
        violation = violations.read(body, request.get_host())
    except violations.Unfit:
        return HttpResponse(status=400)
    is_counted = violations.note(violation, visitors.of(request))
    return HttpResponse(status=204 if is_counted else 429)


def _is_of_this_site(request: HttpRequest) -> bool:
    """As browsers say, and no page can make them say otherwise."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    try:
        return urlsplit(request.headers.get("Origin", "")).netloc == request.get_host()
    except ValueError:
        return False
