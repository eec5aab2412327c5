"""Following a run, or all runs of a list; taking that back."""

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import filters
from dashboard.notices import follows
from dashboard.notices.models import Follow
from runs.models import Run

MOST_FOLLOWED = filters.MOST_COUNTED  # runs at once: more could not be counted beforehand


class FollowAllForm(forms.Form):
    count = forms.IntegerField(widget=forms.HiddenInput)


@require_POST
def follow_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """Form: `off` follows it no more."""
    assert isinstance(request.user, User)
    run = get_object_or_404(Run.objects.only("run_id"), run_id=run_id)
    if "off" in request.POST:
        follows.unfollow(run, request.user)
    else:
        follows.follow(run, request.user)
    return redirect("run", run_id)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def follow_all(request: HttpRequest) -> HttpResponse:
    """Query: the list's own. The form holds how many runs were told to match; if it is another
    number by now, that is said and asked anew. `off` follows them no more."""
    assert isinstance(request.user, User)
    asked = filters.read(request.GET, timezone.now())
    asked.after = None
    total = filters.how_many(filters.matching(asked))
    form = FollowAllForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if asked.complaints:  # a filter that was left out would let more runs match
            form.add_error(None, "Some filter cannot be; go back to the list and set it anew.")
        elif form.cleaned_data["count"] != total:
            form.add_error(None, f"Meanwhile {total} runs match. Look again before you go on.")
        elif total <= MOST_FOLLOWED:
            act = follows.unfollow_all if "off" in request.POST else follows.follow_all
            batch, count = act(asked, request.user)
            back = f"{reverse('runs')}?{asked.query() or 'all'}"
            if not count:
                messages.info(request, "Nothing was to be changed.")
                return redirect(back)
            return redirect(f"{reverse('follow-batch', args=[batch])}?{asked.query()}")
    mine = Follow.objects.filter(user=request.user, is_on=True)
    context = {
        "form": form,
        "total": total,
        "followed": mine.filter(run__in=filters.matching(asked)).count(),
        "most": MOST_FOLLOWED,
        "query": asked.query(),
        "complaints": list(asked.complaints.values()),
    }
    return render(request, "notices/follow_all.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def follow_batch(request: HttpRequest, batch: str) -> HttpResponse:
    """What was just done to many runs; POST takes it back. Query: the list's, to go back to."""
    assert isinstance(request.user, User)
    was_followed, count = follows.of_batch(batch, request.user)
    if not count:
        raise Http404("Nothing is left of this to be taken back.")
    asked = filters.read(request.GET, timezone.now())
    back = f"{reverse('runs')}?{asked.query() or 'all'}"
    if request.method == "POST":
        messages.success(request, f"Taken back for {follows.undo(batch, request.user)} runs.")
        return redirect(back)
    context = {"was_followed": was_followed, "count": count, "back": back}
    return render(request, "notices/batch.html", context)
