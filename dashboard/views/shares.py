"""Staff's side of sharing: make a link to a run, list all links, revoke one."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import sharing
from dashboard.access import needs
from dashboard.models import ShareLink
from runs.models import Run

PAGE = 100  # links a page of the list
STATES = ((None, "All"), ("live", "Live"), ("ended", "Ended"))

may_share = needs(
    "dashboard.add_sharelink",
    "Your role does not include sharing runs. Ask an administrator for the role of a member.",
)
may_revoke = needs(
    "dashboard.change_sharelink",
    "Your role does not include revoking links. Ask a member of the team to do it.",
)


class ShareForm(forms.Form):
    OFFERED: ClassVar = (1, 3, ShareLink.DEFAULT_DAYS, 14, ShareLink.LONGEST_DAYS)

    purpose = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Say why this run is shared."},
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=ShareLink.LONGEST_DAYS,
        initial=ShareLink.DEFAULT_DAYS,
        widget=forms.Select,
        error_messages={
            "max_value": "A link lives for %(limit_value)s days at most.",
            "min_value": "A link lives for %(limit_value)s day at least.",
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        today = timezone.localtime()
        self.fields["days"].widget.choices = [
            (days, _lifetime(days, today + dt.timedelta(days=days))) for days in self.OFFERED
        ]
        for name in self.errors if self.is_bound else ():
            attributes = {"aria-invalid": "true", "aria-describedby": f"{name}-error"}
            self.fields[name].widget.attrs |= attributes


def _lifetime(days: int, end: dt.datetime) -> str:
    return f"{days} {'day' if days == 1 else 'days'}, until {end:%A} {end.day} {end:%B, %H:%M %Z}"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_share
def share_run(request: HttpRequest, run_id: str) -> HttpResponse:
    run = get_object_or_404(Run.objects.only("run_id", "prompt", "status"), run_id=run_id)
    form = ShareForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _made(request, run, **form.cleaned_data)
    links = ShareLink.objects.filter(run=run).for_lists().with_views().order_by("-id")
    context = {"run": run, "form": form, **_window(links, request.GET.get("after", ""))}
    return render(request, "shares/share.html", context, status=400 if form.errors else 200)


def _made(request: HttpRequest, run: Run, purpose: str, days: int) -> HttpResponse:
    """The one page that ever shows the token: an answer to the POST, and no redirect, since what
    a redirect leads to would have to be told the token through a cookie or a session row."""
    assert isinstance(request.user, User)
    link, token = sharing.create(run, request.user, purpose, days)
    context = {"run": run, "link": link, "address": sharing.full_url(token, request)}
    return render(request, "shares/made.html", context, status=201)


@require_safe
def share_links(request: HttpRequest) -> HttpResponse:
    """All links, newest first. Query: `run` (an id), `state` (live, ended), `after` (a key)."""
    links = ShareLink.objects.for_lists().with_views().order_by("-id")
    if run_id := request.GET.get("run", "").replace("\x00", "").strip():
        links = links.filter(run__run_id=run_id)
    state = request.GET.get("state")
    if state == "live":
        links = links.live(timezone.now())
    elif state == "ended":
        links = links.ended(timezone.now())
    else:
        state = None
    context = {"run_id": run_id, "state": state, "states": STATES}
    context |= _window(links, request.GET.get("after", ""))
    return render(request, "shares/list.html", context)


def _window(links: QuerySet[ShareLink], after: str) -> dict[str, Any]:
    """At most PAGE links older than the key `after`, and how many there are in all."""
    is_first = not (after.isdecimal() and len(after) < 19)
    window = list((links if is_first else links.filter(pk__lt=int(after)))[: PAGE + 1])
    rows, has_older = window[:PAGE], len(window) > PAGE
    now = timezone.now()
    for link in rows:
        link.standing = link.state(now)  # type: ignore[attr-defined]
    return {
        "links": rows,
        "older": rows[-1].pk if has_older else None,
        "is_first": is_first,
        "total": len(rows) if is_first and not has_older else links.count(),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_revoke
def revoke_link(request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks, POST does it. `back=run` returns to the run's share page."""
    link = get_object_or_404(ShareLink.objects.for_lists().with_views(), pk=pk)
    names = request.POST if request.method == "POST" else request.GET
    to_run = names.get("back") == "run"
    back = reverse("share-run", args=[link.run.run_id]) if to_run else reverse("share-links")
    if request.method == "POST":
        _revoke(request, link)
        return HttpResponseRedirect(back)
    link.standing = link.state(timezone.now())  # type: ignore[attr-defined]
    context = {"link": link, "back": back, "to_run": to_run}
    return render(request, "shares/revoke.html", context)


def _revoke(request: HttpRequest, link: ShareLink) -> None:
    assert isinstance(request.user, User)
    if sharing.revoke(link, request.user):
        messages.success(request, "The link is revoked. Whoever has it cannot open it any more.")
    else:
        messages.info(request, "The link had been revoked before.")
