"""Whether one follows a run."""

from typing import Any

from django import template

from dashboard.notices import follows
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
