"""Where Case.dev calls when a run has ended. Whoever calls learns nothing and is told nothing."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from runs import callbacks


@csrf_exempt  # the token in the address is all there is to prove, and all it opens is a poll
@login_not_required
@never_cache
@require_POST
def callback(request: HttpRequest, token: str) -> HttpResponse:
    """204, also where there is nothing to do any more; 404 for every other token."""
    if callbacks.obstacle() or not callbacks.heard(token):
        return HttpResponse(status=404)
    return HttpResponse(status=204)
