"""A row for each answer that shows something, written before the answer leaves.

Here and not in the views, so that a new page is in the log without anybody thinking of it: what is
not recorded has to be named in UNRECORDED.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.apps import apps
from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import ResolverMatch

from dashboard import sharing, visitors
from dashboard.audit import chain, scene
from dashboard.audit.acts import fit
from dashboard.audit.models import Act, AuditEntry, Result
from dashboard.live import relay
from dashboard.models import ShareLink

logger = logging.getLogger(__name__)

# Shows nothing of a run, or tells of itself by a signal (signing in and out).
UNRECORDED = frozenset(
    {
        *("healthz", "readyz", "metrics", "callback", "export-progress", "run-looked"),
        *("lists-looked", "keys", "csp-reports", "notice-settings", "notice-rules"),
        *("admin:jsi18n", "admin:login", "admin:logout"),
    }
)
ACCOUNTS = "/accounts/"
SHARED = "/s/"
ADMIN_ACTS = {"poll_now": Act.POLLED, "lift_quarantine": Act.RELEASED}
MOST_ACTED_ON = 500  # rows of one act in the admin

POLL_REST = 600  # seconds for which the answers to one page's polls are one look
PER_PLACE, PER_SITE = 30, 600  # rows a minute about strangers who were shown nothing
MOST_KEPT = 10_000


class Middleware:
    """What is remembered between requests: only what keeps one browser from filling the log."""

    def __init__(self) -> None:
        self.polls: OrderedDict[tuple[Any, ...], float] = OrderedDict()
        self.ration = Ration()

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """`response`, or a 503 in its place: what cannot be recorded is not shown."""
        if not is_recorded(request, response):
            return response
        try:
            entries = entries_of(request, response)
            for entry in entries:
                self.append(entry, visitors.of(request).place)
        except DatabaseError as error:
            if result_of(request, response) != Result.OK:  # there is nothing in it to be held back
                logger.error("a refused request is not in the audit log: %s", error)
                return response
            logger.exception("an answer is held back: the audit log cannot be written")
            relay.withdraw(request)
            return unwritten()
        return response

    def append(self, entry: AuditEntry, place: str) -> None:
        is_look = entry.act in (Act.LOOK, Act.LIST)
        if is_look and entry.page.endswith("live") and self._goes_on(entry):
            return
        if entry.result != Result.OK and entry.person is None:
            left_out = self.ration.take(place, time.monotonic())
            if left_out is None:
                return
            if left_out:
                entry.detail = fit(f"{left_out} like it left out before {entry.detail}", "detail")
        chain.append(entry)

    def _goes_on(self, entry: AuditEntry) -> bool:
        """Whether an answer to a poll is a page's that has been recorded a short while ago."""
        key = (entry.person, entry.link, entry.page, entry.run, entry.address, entry.result)
        now = time.monotonic()
        if now - self.polls.get(key, -POLL_REST) < POLL_REST:
            return True
        self.polls[key] = now
        self.polls.move_to_end(key)
        while len(self.polls) > MOST_KEPT:
            self.polls.popitem(last=False)
        return False


class Ration:
    """Who has no account and is shown nothing can still not fill the disk."""

    def __init__(self) -> None:
        self.minute = 0
        self.taken: dict[str, int] = {}
        self.total = 0
        self.left_out = 0

    def take(self, place: str, now: float) -> int | None:
        """How many rows were left out since the last one; None if this one is left out too."""
        if int(now // 60) != self.minute:
            self.minute, self.taken, self.total = int(now // 60), {}, 0
        mine = self.taken.get(place, 0)
        if mine >= PER_PLACE or self.total >= PER_SITE:
            self.left_out += 1
            return None
        self.taken[place], self.total = mine + 1, self.total + 1
        left_out, self.left_out = self.left_out, 0
        return left_out


def is_recorded(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether the answer shows something, or refuses to. Leading on to another page is neither;
    what a form did has a row of its own, written by whatever did it."""
    match = request.resolver_match
    if match is not None and match.namespace == "admin" and request.method == "POST":
        return match.view_name not in UNRECORDED
    if 300 <= response.status_code < 400 and result_of(request, response) == Result.OK:
        return False
    if request.path_info.startswith(SHARED):
        return request.path_info.strip("/") != "s"
    if match is None or request.path_info.startswith(ACCOUNTS) or match.view_name in UNRECORDED:
        return False
    return response.status_code != 201


def result_of(request: HttpRequest, response: HttpResponseBase) -> Result:
    status = response.status_code
    if 300 <= status < 400:
        onward = urlsplit(response.headers.get("Location", "")).path
        return Result.REFUSED if onward.startswith(ACCOUNTS) else Result.OK
    if status in (404, 410):
        return Result.NOT_FOUND
    if status >= 500:
        return Result.FAILED
    is_form = request.path_info.startswith(SHARED) and not has_opened(request)
    return Result.OK if status < 400 and not is_form else Result.REFUSED


def has_opened(request: HttpRequest) -> bool:
    """Whether a link's page or stream was shown, and not the question for its passphrase, or
    what robots are told."""
    match = request.resolver_match
    return hasattr(request, "share_link") or (match is not None and match.url_name == "shared-live")


class Subject(NamedTuple):
    run: str = ""
    link: int | None = None


def entries_of(request: HttpRequest, response: HttpResponseBase) -> list[AuditEntry]:
    match = request.resolver_match
    is_shared = request.path_info.startswith(SHARED)
    person, name = (None, "") if is_shared else scene.signed_in(request)
    subject = of_link(request) if is_shared else of_match(match)
    in_admin = match is not None and match.namespace == "admin"
    seen = [Subject(run) for run in getattr(request, "seen_runs", ())]  # of a page about several
    common: dict[str, Any] = {
        "result": result_of(request, response),
        "person": person,
        "name": fit(name, "name"),
        # Of people who have no account here only the network is kept.
        "address": visitors.of(request).place if is_shared else scene.address(request),
        "page": fit(page_of(match), "page"),
    }
    if in_admin and request.method == "POST":
        return [AuditEntry(**common, **acted) for acted in admin_acts(request, match)]
    act = Act.ADMIN if in_admin else act_of(response, seen[0] if seen else subject)
    told = (detail_of(match), getattr(response, "audited_as", ""), scene.means(request))
    detail = fit(", ".join(filter(None, told)), "detail")
    return [
        AuditEntry(act=act, run=fit(one.run, "run"), link=one.link, detail=detail, **common)
        for one in seen or [subject]
    ]


def act_of(response: HttpResponseBase, subject: Subject) -> Act:
    if response.streaming and "event-stream" in response.headers.get("Content-Type", ""):
        return Act.STREAM
    if getattr(response, "is_export", False):
        return Act.EXPORT
    if response.headers.get("Content-Disposition"):
        return Act.DOWNLOAD
    return Act.LOOK if subject.run or subject.link else Act.LIST


def page_of(match: ResolverMatch | None) -> str:
    if match is None:
        return ""
    return match.view_name or match.func.__name__


def detail_of(match: ResolverMatch | None) -> str:
    kwargs = match.kwargs if match else {}
    told = (f"{key} {kwargs[key]}" for key in kwargs if key not in ("run_id", "token"))
    return ", ".join(told)


def of_link(request: HttpRequest) -> Subject:
    """The link that is asked for, also one that opens nothing any more.

    One and the same query whatever is wrong with a token, as where it is opened; and none for
    whoever is held off.
    """
    if getattr(request, "is_held_off", False):
        return Subject()
    first, _, rest = request.path_info.removeprefix(SHARED).partition("/")
    if first == "-":  # who has a cookie for the token names the link openly
        named = Q(public_id=rest.partition("/")[0][:32])
    else:
        named = Q(token_digest=sharing.digest(first))
    found = ShareLink.objects.filter(named).order_by().values_list("run__run_id", "pk").first()
    return Subject(*found) if found else Subject()


def of_match(match: ResolverMatch | None) -> Subject:
    if match is None:
        return Subject()
    if match.namespace == "admin":
        key = str(match.kwargs.get("object_id", ""))
        return Subject(runs_of(match, [key]).get(key, "")) if key else Subject()
    return Subject(str(match.kwargs.get("run_id", "")))


def admin_acts(request: HttpRequest, match: ResolverMatch | None) -> list[dict[str, Any]]:
    """What was done to each of the rows that an action, or the page of one row, was about."""
    assert match is not None
    action = request.POST.get("action", "")
    act = ADMIN_ACTS.get(action, Act.ADMIN_ACT)
    own = [str(match.kwargs["object_id"])] if "object_id" in match.kwargs else []
    keys = own or request.POST.getlist("_selected_action")[:MOST_ACTED_ON] or [""]
    runs = runs_of(match, keys)
    return [
        {"act": act, "run": runs.get(key, ""), "detail": fit(f"{action} {key}".strip(), "detail")}
        for key in keys
    ]


def runs_of(match: ResolverMatch, keys: list[str]) -> dict[str, str]:
    """The ids of the runs that rows of an admin page are, or belong to, by the rows' keys."""
    app, _, rest = (match.url_name or "").partition("_")
    try:
        model = apps.get_model(app, rest.partition("_")[0])
    except LookupError:
        return {}
    related = {field.name for field in model._meta.fields if field.is_relation}
    path = "run_id" if model._meta.label == "runs.Run" else "run__run_id"
    numbers = [key for key in keys if key.isdecimal() and len(key) < 19]
    if not numbers or (path == "run__run_id" and "run" not in related):
        return {}
    rows: Any = model._default_manager
    found = rows.filter(pk__in=numbers).values_list("pk", path)
    return {str(pk): run_id for pk, run_id in found}


def unwritten() -> HttpResponse:
    body = render_to_string("audit/unwritten.html")
    return HttpResponse(
        body, status=503, headers={"Retry-After": "10", "Cache-Control": "no-store"}
    )


def recorded(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    memory = Middleware()

    def answer(request: HttpRequest) -> HttpResponseBase:
        with scene.of(request):
            return memory.after(request, get_response(request))

    return answer
