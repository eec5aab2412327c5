"""How a page tells that its run is shared."""

from typing import Any

from django import template
from django.forms import BoundField
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import sharing
from runs.models import Run

register = template.Library()


@register.simple_tag
def shared_with(run: Run) -> SafeString | str:
    """A link to the run's live links with their number; nothing when it is not shared."""
    count = sharing.live_count(run)
    if not count:
        return ""
    return format_html(
        ' · <a href="{}?run={}&amp;state=live">shared by {} live link{}</a>',
        reverse("share-links"),
        run.run_id,
        count,
        "" if count == 1 else "s",
    )


@register.simple_tag
def ticks(field: BoundField) -> set[str]:
    """The values that are ticked, sent or by default."""
    return {str(value) for value in field.value() or ()}


@register.simple_tag
def with_pieces(preview: dict[str, Any]) -> str:
    """A recipient's pages as they will be. Rendered apart, with nothing of this page's context
    in reach, just as they are for the recipient."""
    return render_to_string("shared/preview.html", preview)
