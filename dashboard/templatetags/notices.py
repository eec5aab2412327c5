"""Whether one follows a run, and how much of what one was told is new."""

from typing import Any

from django import template

from dashboard.notices import follows
from dashboard.notices.models import Event, Notice
from runs.models import Run

register = template.Library()


@register.inclusion_tag("notices/_follow.html", takes_context=True)
def follow_button(context: template.Context, run: Run) -> dict[str, Any]:
    request = context["request"]
    return {
        "run": run,
        "is_on": follows.is_following(request.user.pk, run),
        "csrf_token": context.get("csrf_token", ""),
    }


@register.simple_tag
def unseen_notices(person: int | None) -> int:
    """Without mentions, which are counted where they are listed."""
    unseen = Notice.objects.filter(user=person, seen_at=None).exclude(event=Event.MENTIONED)
    return unseen.count() if person else 0
