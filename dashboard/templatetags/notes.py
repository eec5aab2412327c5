"""What people wrote beside a run, in short; and whether somebody was mentioned."""

from typing import Any

from django import template

from dashboard.notes.models import Mention, Note, RunLabel
from runs.models import Run

register = template.Library()


@register.inclusion_tag("notes/_line.html")
def notes_line(run: Run) -> dict[str, Any]:
    """Labels of the run and the way to its notes."""
    labels = RunLabel.objects.filter(run=run).select_related("label")
    return {
        "run": run,
        "labels": [one.label.name for one in labels],
        "count": Note.objects.filter(run=run, removed_at=None).count(),
    }


@register.simple_tag
def notes_on_step(run: Run, position: int) -> int:
    return Note.objects.filter(run=run, position=position, removed_at=None).count()


@register.simple_tag
def unseen_mentions(person: int | None) -> int:
    return Mention.objects.filter(user=person, seen_at=None).count() if person else 0
