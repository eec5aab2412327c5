"""Who may do what: one decorator, and one sentence for whoever may not."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from dashboard.accounts import factors


def needs[**P](
    permission: str, sentence: str
) -> Callable[
    [Callable[Concatenate[HttpRequest, P], HttpResponse]],
    Callable[Concatenate[HttpRequest, P], HttpResponse],
]:
    """Answers 403 with `sentence` to anybody signed in without `permission` ("app.verb_model"),
    and leads to a second factor whoever lacks one that the permission asks for."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @wraps(view)
        def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied(sentence)
            detour = factors.lead(request, factors.reason_to_use(permission))
            return detour or view(request, *args, **kwargs)

        return checked

    return decorate
