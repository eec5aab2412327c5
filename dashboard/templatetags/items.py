"""What pages hold by the hundred: lines of the timeline, bars of its strip, rows of runs."""

from collections.abc import Iterable

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard import row_items, step_items, strip_items
from dashboard.facets import Choice
from dashboard.rendering.strip import Strip
from dashboard.step_lines import Line
from dashboard.templatetags.runsheet import opening
from runs.models import Run

register = template.Library()


@register.simple_tag(takes_context=True)
def step_item(context: template.Context, line: Line) -> SafeString:
    """A step as `<li>`, for the run and the audience in context."""
    return step_items.item(line, _place(context))


@register.simple_tag(takes_context=True)
def strip_bars(context: template.Context, strip: Strip) -> SafeString:
    """The strip's bars as SVG links, for the run and the audience in context."""
    return strip_items.bars(strip, _place(context))


@register.simple_tag(takes_context=True)
def step_ref(context: template.Context, position: int) -> str:
    """Where a step stands in the timeline: on this page if all steps do, else in its window."""
    return _place(context).ref(position)


def _place(context: template.Context) -> step_items.Place:
    is_short = bool(context.get("is_short"))
    return step_items.Place(context["run"], context["audience"], context["now"], is_short)


@register.simple_tag(takes_context=True)
def run_rows(context: template.Context, runs: Iterable[Run]) -> SafeString:
    """Rows of the runs, for a context of `rows.rows`."""
    table = row_items.Table(
        context["audience"],
        context["now"],
        context["agent_names"],
        context["columns"],
        has_ticks=bool(context.get("has_ticks")),
    )
    return mark_safe("".join(row_items.row(run, table) for run in runs))


@register.simple_tag
def options(choices: Iterable[Choice], chosen: str) -> SafeString:
    """Of a menu of up to hundreds."""
    made = [
        (one.value, " selected" * (one.value == chosen), opening(one.label, 60)) for one in choices
    ]
    return format_html_join("", '<option value="{}"{}>{}</option>', made)
