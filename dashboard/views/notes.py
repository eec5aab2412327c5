"""Notes and labels of a run, labels on all runs of a list, and where one is mentioned."""

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import filters
from dashboard.access import needs
from dashboard.notes import flows
from dashboard.notes.models import Label, Mention, Note, RunLabel, StepLabel
from runs.models import Run

NOTES_SHOWN = 500
MENTIONS_SHOWN = 100
MOST_LABELLED = filters.MOST_COUNTED  # runs at once: more could not be counted beforehand
RIGHT = "runs.add_run"  # whoever is a member, or more

may_write = needs(
    RIGHT,
    "Your role does not include writing notes. Ask an administrator for the role of a member.",
)


class NoteForm(forms.Form):
    text = forms.CharField(
        label="Note",
        max_length=flows.LONGEST,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="For your team alone. @name tells somebody of it.",
    )
    position = forms.IntegerField(
        label="On step",
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text="Empty: the run.",
    )


class LabelForm(forms.Form):
    name = forms.CharField(
        label="Label", max_length=40, widget=forms.TextInput(attrs={"list": "known-labels"})
    )


class PlacedLabelForm(LabelForm):
    position = forms.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, widget=forms.HiddenInput
    )


class LabelAllForm(LabelForm):
    count = forms.IntegerField(widget=forms.HiddenInput)


@require_safe
@never_cache
def run_notes(request: HttpRequest, run_id: str) -> HttpResponse:
    """Query: `step`, whose notes alone are asked for."""
    return _page(request, _run(run_id))


@require_POST
@may_write
def write_note(request: HttpRequest, run_id: str) -> HttpResponse:
    assert isinstance(request.user, User)
    run, form = _run(run_id), NoteForm(request.POST)
    position = form.data.get("position", "")
    if form.is_valid():
        position = form.cleaned_data["position"]
        if position is None or run.steps.filter(position=position).exists():
            flows.write(run, request.user, form.cleaned_data["text"], position)
            return redirect(_back(run, position))
        form.add_error("position", f"The run has no step {position}.")
    return _page(request, run, form=form)


@require_POST
@may_write
def take_note_back(request: HttpRequest, number: int) -> HttpResponse:
    """One's own note."""
    assert isinstance(request.user, User)
    note = get_object_or_404(Note.objects.select_related("run"), pk=number)
    if note.author != request.user:
        raise Http404
    flows.take_back(note, request.user)
    return redirect(_back(note.run, None))


@require_POST
@may_write
def label_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """Form: `name`, and `position` for one of a step; `off` takes the label off."""
    assert isinstance(request.user, User)
    run, form = _run(run_id), PlacedLabelForm(request.POST)
    if not form.is_valid():
        return _page(request, run, labelling=form)
    position = form.cleaned_data["position"]
    if position is not None and not run.steps.filter(position=position).exists():
        raise Http404("The run has no such step.")
    act = flows.take_off if "off" in request.POST else flows.put
    act(run, form.cleaned_data["name"], request.user, position)
    return redirect(_back(run, position))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_write
def label_all(request: HttpRequest) -> HttpResponse:
    """Query: the list's own. The form holds how many runs were told to match; if it is another
    number by now, that is said and asked anew."""
    assert isinstance(request.user, User)
    asked = filters.read(request.GET, timezone.now())
    total = filters.how_many(filters.matching(asked))
    form = LabelAllForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if asked.complaints:  # a filter that was left out would let more runs match
            form.add_error(None, "Some filter cannot be; go back to the list and set it anew.")
        elif form.cleaned_data["count"] != total:
            form = LabelAllForm(_recounted(request.POST, total))
            form.add_error(None, f"Meanwhile {total} runs match. Look again before you go on.")
        elif total <= MOST_LABELLED:
            count = flows.put_on_all(asked, form.cleaned_data["name"], request.user)
            messages.success(request, f"{count} runs got the label; {total - count} had it.")
            return redirect(f"{reverse('runs')}?{asked.query() or 'all'}")
    context = {
        "form": form,
        "total": total,
        "most": MOST_LABELLED,
        "query": asked.query(),
        "complaints": list(asked.complaints.values()),
        "known": Label.objects.all()[:200],
    }
    return render(request, "notes/label_all.html", context, status=400 if form.errors else 200)


@require_safe
@never_cache
def mentions(request: HttpRequest) -> HttpResponse:
    found = Mention.objects.filter(user=request.user.pk).order_by("-pk")
    shown = list(found.select_related("note__run", "note__author")[:MENTIONS_SHOWN])
    return render(request, "notes/mentions.html", {"mentions": shown, "now": timezone.now()})


@require_POST
def see_mentions(request: HttpRequest) -> HttpResponse:
    """All mentions so far are seen."""
    Mention.objects.filter(user=request.user.pk, seen_at=None).update(seen_at=timezone.now())
    return redirect("mentions")


def _run(run_id: str) -> Run:
    return get_object_or_404(Run.objects.defer("output", "logs", "guidance"), run_id=run_id)


def _page(
    request: HttpRequest,
    run: Run,
    form: NoteForm | None = None,
    labelling: LabelForm | None = None,
) -> HttpResponse:
    step = request.GET.get("step", "")
    position = int(step) if step.isascii() and step.isdigit() and len(step) < 10 else None
    notes = Note.objects.filter(run=run).select_related("author")
    if position is not None:
        notes = notes.filter(position=position)
    has_errors = bool((form and form.errors) or (labelling and labelling.errors))
    context = {
        "run": run,
        "position": position,
        "notes": notes.order_by("-created_at", "-id")[:NOTES_SHOWN],
        "labels": _labels(run, position),
        "known": Label.objects.all()[:200],
        "form": form or NoteForm(initial={"position": position}),
        "labelling": labelling or PlacedLabelForm(initial={"position": position}),
        "may_write": request.user.has_perm(RIGHT),
        "now": timezone.now(),
    }
    return render(request, "notes/notes.html", context, status=400 if has_errors else 200)


def _labels(run: Run, position: int | None) -> QuerySet[RunLabel] | QuerySet[StepLabel]:
    if position is None:
        return RunLabel.objects.filter(run=run).select_related("label", "by")
    found = StepLabel.objects.filter(run=run, position=position)
    return found.select_related("label", "by")


def _back(run: Run, position: int | None) -> str:
    here = reverse("run-notes", args=[run.run_id])
    return here if position is None else f"{here}?step={position}"


def _recounted(data: QueryDict, total: int) -> QueryDict:
    data = data.copy()
    data["count"] = str(total)
    return data
