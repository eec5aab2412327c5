"""The line of saved views above the list, and the filters that hold as chips."""

from typing import Any

from django import template
from django.db.models import Exists, OuterRef

from dashboard.saved.chips import chips
from dashboard.saved.models import DefaultView, SavedView

register = template.Library()


@register.inclusion_tag("saved/_views.html", takes_context=True)
def saved_views(context: template.Context) -> dict[str, Any]:
    """One's own and shared views as links; that which asks what the page asks is marked."""
    person, asked = context["request"].user.pk, context["asked"]
    default = DefaultView.objects.filter(view=OuterRef("pk"), user=person)
    views = SavedView.objects.seen_by(person).annotate(is_default=Exists(default))
    return {"views": list(views[:50]), "query": asked.query(), "person": person}


@register.inclusion_tag("saved/_chips.html", takes_context=True)
def filter_chips(context: template.Context) -> dict[str, Any]:
    names = context["menus"].agent_names
    return {"chips": list(chips(context["asked"], names)), "query": context["asked"].query()}
