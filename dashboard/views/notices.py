"""What one was told and what is on its way; what one wants to be told; what the site allows."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.access import needs
from dashboard.notices import choices, mail, outbox, words
from dashboard.notices.forms import ChoiceForm, RulesForm
from dashboard.notices.models import Channel, Delivery, Notice
from dashboard.notices.undelivered import Undelivered
from runs import notices as hints

SHOWN = 50
TRY_EVERY = 10  # seconds between two tests of one channel
OVERSEES = "auth.change_user"

may_rule = needs(OVERSEES, "What messages may hold is for administrators to say.")


@require_safe
@never_cache
def notices(request: HttpRequest) -> HttpResponse:
    """Query: `before`, the number of the last notice on the page before."""
    before = request.GET.get("before", "")
    found = Notice.objects.filter(user=request.user.pk)
    if before.isdecimal() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    left_out = (f"run__{name}" for name in ("output", "logs", "guidance"))
    rows = found.select_related("run").defer(*left_out)
    window = list(rows.prefetch_related("deliveries__message")[: SHOWN + 1])
    shown, rules = window[:SHOWN], choices.rules()
    rules.tells_cost = True  # on a page, to whoever may see it anyway
    for one in shown:
        one.what = words.what(one, rules)  # type: ignore[attr-defined]
        one.ways = [(way, _standing(way)) for way in one.deliveries.all()]  # type: ignore[attr-defined]
    context = {
        "notices": shown,
        "older": shown[-1].pk if len(window) > SHOWN else None,
        "has_unseen": any(one.seen_at is None for one in shown),
        "now": timezone.now(),
    }
    return render(request, "notices/list.html", context)


def _standing(way: Delivery) -> str:
    """How far it has come: waiting, sent, given up; the template says more of each."""
    message = way.message
    if way.dropped:
        return "dropped"
    if message is None:
        return "waiting"
    if message.sent_at:
        return "sent"
    if message.given_up_at:
        return "given up"
    return "trying" if message.reason else "waiting"


@require_POST
def see_notices(request: HttpRequest) -> HttpResponse:
    """All notices so far are seen."""
    Notice.objects.filter(user=request.user.pk, seen_at=None).update(seen_at=timezone.now())
    return redirect("notices")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def settings(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    choice = choices.of(request.user)
    form = ChoiceForm(choice, choices.rules(), request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        choices.keep(form.chosen(), request.user)
        messages.success(request, "Your choices are kept.")
        return redirect("notice-settings")
    return render(
        request, "notices/settings.html", _context(request.user, form), status=_status(form)
    )


def _context(user: User, form: ChoiceForm) -> dict[str, Any]:
    choice = choices.of(user)
    return {
        "form": form,
        "channels": [
            {"name": one.value, "label": one.label, "obstacle": choices.obstacle(choice, one)}
            for one in Channel
        ],
        "mail_is_on": mail.is_on(),
        "tells_title": choices.rules().tells_title,
        "reached_at": words.address("overview"),
    }


@require_POST
def try_notices(request: HttpRequest) -> HttpResponse:
    """Form: `channel`. Sends a test while its sender waits, and says what came of it."""
    assert isinstance(request.user, User)
    channel = request.POST.get("channel", "")
    if channel not in Channel.values:
        return redirect("notice-settings")
    label = Channel(channel).label
    if why := choices.obstacle(choices.of(request.user), channel):
        messages.error(request, f"No test was sent. {why}")
    elif not hints.is_first(f"notice-test:{request.user.pk}:{channel}", TRY_EVERY):
        messages.error(request, f"No test was sent: wait {TRY_EVERY} seconds between two tests.")
    else:
        try:
            outbox.try_out(request.user, channel)
        except Undelivered as problem:
            messages.error(request, f"The test by {label} failed. {problem.sentence}")
        else:
            taken = "mail server" if channel == Channel.EMAIL else "webhook"
            messages.success(
                request, f"The {taken} took the test. Look whether it has arrived, too."
            )
    return redirect("notice-settings")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_rule
def rules(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = RulesForm(choices.rules(), request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        choices.keep_rules(form.chosen(), request.user)
        messages.success(request, "What messages may hold is kept.")
        return redirect("notice-rules")
    return render(request, "notices/rules.html", {"form": form}, status=_status(form))


def _status(form: ChoiceForm | RulesForm) -> int:
    return 400 if form.errors else 200
