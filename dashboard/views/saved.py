"""Keeping views of the list, sharing them, making one the default, taking them away."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import filters
from dashboard.saved import columns, flows
from dashboard.saved.chips import chips
from dashboard.saved.models import SavedView

ACTS = ("share", "unshare", "default", "no-default", "remove")


class ViewForm(forms.Form):
    name = forms.CharField(label="Name", max_length=60)
    is_shared = forms.BooleanField(label="Show it to the whole team", required=False)
    is_default = forms.BooleanField(label="Open it when I open the list", required=False)
    has_columns = forms.BooleanField(
        label="With the columns that the list shows now", required=False
    )


@require_safe
@never_cache
def saved_views(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    default = flows.default_of(request.user.pk)
    context = {
        "views": SavedView.objects.seen_by(request.user.pk).select_related("owner"),
        "default": default.pk if default else None,
    }
    return render(request, "saved/views.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def keep_view(request: HttpRequest) -> HttpResponse:
    """Query: the list's own, which is what is kept."""
    assert isinstance(request.user, User)
    asked = filters.read(request.GET, timezone.now())
    form = ViewForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            query = asked.query(columns=_columns(request.user, asked, form.cleaned_data))
            view = flows.keep(request.user, query=query, **form.cleaned_data)
        except flows.NameTaken:
            form.add_error("name", "You have a view with this name.")
        except flows.TooMany:
            form.add_error(None, f"You have {flows.MOST} views. Remove one that is not needed.")
        else:
            return redirect(address(view))
    context = {
        "form": form,
        "asked": asked,
        "chips": list(chips(asked, {})),
        "query": asked.query(),
    }
    return render(request, "saved/keep.html", context, status=400 if form.errors else 200)


def _columns(user: User, asked: filters.Asked, given: dict[str, Any]) -> str:
    """As a view's address names them; "" leaves them to whoever opens it."""
    return ",".join(columns.of(user.pk, asked.columns)) if given.pop("has_columns") else ""


@require_POST
def change_view(request: HttpRequest, number: int) -> HttpResponse:
    """Form: `act`, one of ACTS. Sharing and removing are for the view's owner."""
    assert isinstance(request.user, User)
    view = get_object_or_404(SavedView.objects.seen_by(request.user.pk), pk=number)
    act = request.POST.get("act", "")
    if act not in ACTS or (act in ("share", "unshare", "remove") and view.owner != request.user):
        raise Http404
    match act:
        case "share" | "unshare":
            flows.change(view, request.user, is_shared=act == "share")
        case "default" | "no-default":
            flows.make_default(request.user, view if act == "default" else None)
        case "remove":
            flows.remove(view, request.user)
            messages.success(request, f"The view “{view.name}” is removed.")
    return redirect("saved-views")


def address(view: SavedView) -> str:
    """Where the list answers it; `all` asks for everything in so many words."""
    return f"{reverse('runs')}?{view.query or 'all'}"
