"""The lines of the timeline, and the bars of the run in time."""

from django import template
from django.utils.safestring import SafeString

from dashboard import step_items, strip_items
from dashboard.rendering.strip import Strip
from dashboard.step_lines import Line

register = template.Library()


@register.simple_tag(takes_context=True)
def step_item(context: template.Context, line: Line) -> SafeString:
    """A step as `<li>`, for the run and the audience in context."""
    return step_items.item(line, _place(context))


@register.simple_tag(takes_context=True)
def strip_bars(context: template.Context, strip: Strip) -> SafeString:
    """The strip's bars as SVG links, for the run and the audience in context."""
    return strip_items.bars(strip, _place(context))


def _place(context: template.Context) -> step_items.Place:
    is_short = bool(context.get("is_short"))
    return step_items.Place(context["run"], context["audience"], context["now"], is_short)
