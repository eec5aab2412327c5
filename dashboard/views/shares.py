"""Staff's side of sharing: make a link to a run, list all links, see who looked, revoke one, and
close them all."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import door, shared_pages, sharing
from dashboard.access import needs
from dashboard.disclosure import rules as ruling
from dashboard.disclosure.sources import FromRecord
from dashboard.models import ShareLink
from dashboard.share_form import KINDS, PARTS, ShareForm, with_picked
from runs.models import Run

PAGE = 100  # links a page of the list
VIEWS_SHOWN = 200
STATES = ((None, "All"), ("live", "Live"), ("ended", "Ended"))

may_share = needs(
    "dashboard.add_sharelink",
    "Your role does not include sharing runs. Ask an administrator for the role of a member.",
)
may_revoke = needs(
    "dashboard.change_sharelink",
    "Your role does not include revoking links. Ask a member of the team to do it.",
)


may_see_views = needs(
    "dashboard.view_shareview", "Your role does not include seeing who opened a link."
)
may_close = needs(
    "dashboard.change_sharingswitch",
    "Only an administrator closes or opens all shared links at once.",
)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_share
def share_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """GET and `preview` show the form with what the recipient would see; POST makes the link."""
    run = get_object_or_404(Run.objects.select_related("poll"), run_id=run_id)
    data = with_picked(request.POST) if request.method == "POST" else None
    form = ShareForm(data)
    previews = data is not None and "preview" in data
    if data is not None and form.is_valid() and not previews:
        return _made(request, run, form)
    has_errors = data is not None and bool(form.errors) and not previews
    links = ShareLink.objects.filter(run=run).for_lists().with_views().order_by("-id")
    context = {"run": run, "form": form, "parts": PARTS, "switch": sharing.switch()}
    context |= _window(links, request.GET.get("after", ""))
    context["preview"] = _preview(run, form, data.get("preview", "") if data else "")
    return render(request, "shares/share.html", context, status=400 if has_errors else 200)


def _preview(run: Run, form: ShareForm, after: str) -> dict[str, Any]:
    source = FromRecord(run, form.terms)
    at = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else 0
    return shared_pages.preview(source, door.PREVIEW, at)


def _made(request: HttpRequest, run: Run, form: ShareForm) -> HttpResponse:
    """The one page that ever shows the token: an answer to the POST, and no redirect, since what
    a redirect leads to would have to be told the token through a cookie or a session row."""
    assert isinstance(request.user, User)
    told = form.cleaned_data
    link, token = sharing.create(
        run,
        request.user,
        told["purpose"],
        told["days"],
        recipient=told["recipient"],
        passphrase=told["passphrase"],
        most_views=told["most_views"],
        shows=form.terms.shows,
        rules=form.terms.rules,
        is_frozen=bool(told["is_frozen"]),
    )
    context = {"run": run, "link": link, "address": sharing.full_url(token, request)}
    return render(request, "shares/made.html", context | _chosen(link), status=201)


def _chosen(link: ShareLink) -> dict[str, Any]:
    """In words what the link shows and what is taken out of it."""
    terms = ruling.terms(link.shows, link.rules)
    kinds = dict(KINDS)
    steps = [
        f"{first}" if first == last else f"{first}–{'' if last == ruling.LAST_STEP else last}"
        for first, last in terms.rules.steps
    ]
    return {
        "shown_parts": [label for part, label, _ in PARTS if part in terms],
        "redacted": {
            "Steps": ", ".join(steps),
            "Fields": ", ".join(terms.rules.fields),
            "Words": " · ".join(terms.rules.words),
            "Kinds": ", ".join(kinds[kind] for kind in terms.rules.kinds),
        },
        "has_rules": bool(terms.rules),
    }


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
    context = {"run_id": run_id, "state": state, "states": STATES, "switch": sharing.switch()}
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
@may_see_views
def share_link(request: HttpRequest, pk: int) -> HttpResponse:
    """What a link shows, and who opened it. POST changes the maximum of views (`most_views`)."""
    link = get_object_or_404(ShareLink.objects.for_lists().with_views(), pk=pk)
    if request.method == "POST":
        return _limit(request, pk)
    views = link.views.all()
    people = list(views.filter(is_robot=False)[: VIEWS_SHOWN + 1])
    robots = views.filter(is_robot=True)
    link.standing = link.state(timezone.now())  # type: ignore[attr-defined]
    context = {
        "link": link,
        "views": people[:VIEWS_SHOWN],
        "has_more": len(people) > VIEWS_SHOWN,
        "robots": list(robots[:20]),
        "robot_count": robots.count(),
        "switch": sharing.switch(),
    }
    return render(request, "shares/link.html", context | _chosen(link))


@may_revoke
def _limit(request: HttpRequest, pk: int) -> HttpResponse:
    told = request.POST.get("most_views", "").strip()
    link = get_object_or_404(ShareLink, pk=pk)
    if told and not (told.isascii() and told.isdigit() and 1 <= int(told[:9]) <= link.MOST_VIEWS):
        messages.error(request, f"A link opens from 1 to {link.MOST_VIEWS:,} times.")
    else:
        sharing.limit_views(link, int(told) if told else None)
        messages.success(request, "The number of views is changed.")
    return HttpResponseRedirect(reverse("share-link", args=[pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_close
def sharing_switch(request: HttpRequest) -> HttpResponse:
    """GET asks, POST does it: `closed=yes` closes every shared link, `closed=no` opens them."""
    assert isinstance(request.user, User)
    if request.method == "POST" and request.POST.get("closed") in ("yes", "no"):
        is_closed = request.POST["closed"] == "yes"
        sharing.turn_switch(is_closed, request.user)
        word = "No shared link opens now." if is_closed else "Shared links open again."
        messages.success(request, word)
        return HttpResponseRedirect(reverse("share-links"))
    live = ShareLink.objects.live(timezone.now()).count()
    return render(request, "shares/switch.html", {"switch": sharing.switch(), "live": live})


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
