"""What people wrote beside a run, in short; and whether somebody was mentioned."""

from typing import Any

from django import template
from django.db.models import Count, Value

from dashboard.notes.models import Mention, Note, RunLabel
from dashboard.notices.models import Event, Notice
from runs.models import Run

register = template.Library()


@register.inclusion_tag("notes/_line.html")
def notes_line(run: Run) -> dict[str, Any]:
    """Labels of the run and the way to its notes, in one query."""
    labels = RunLabel.objects.filter(run=run).order_by().values_list("label__name", Value(0))
    notes = Note.objects.filter(run=run, removed_at=None).order_by().values("run")
    counted = notes.annotate(count=Count("pk")).values_list(Value(""), "count")
    found = list(labels.union(counted, all=True).order_by())
    return {
        "run": run,
        "labels": sorted((name for name, _ in found if name), key=str.casefold),
        "count": sum(count for _, count in found),
    }


@register.simple_tag
def unseen(person: int | None) -> dict[str, int]:
    """How many `mentions` and other `notices` somebody has not seen, in one query."""
    found = []
    told = Notice.objects.exclude(event=Event.MENTIONED)
    for name, rows in (("mentions", Mention.objects.all()), ("notices", told)):
        of_person = rows.filter(user=person, seen_at=None).order_by().values("user")
        found.append(of_person.annotate(count=Count("pk")).values_list(Value(name), "count"))
    return dict(found[0].union(found[1], all=True).order_by()) if person else {}
