"""The bars of a run's strip as SVG: a link for each, over what is drawn there.

By functions, as the timeline's lines are (`step_items`), and for the same reason.
"""

from html import escape

from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from dashboard.rendering.strip import Bar, Strip
from dashboard.step_items import Place


def bars(strip: Strip, place: Place) -> SafeString:
    return mark_safe(  # escaped, or numbers and names of ours
        "".join(
            f'<a href="{escape(place.ref(bar.first))}" tabindex="-1"><title>{_title(bar)}</title>'
            f"{_rectangle(bar, strip.is_bucketed)}</a>"
            for bar in strip.bars
        )
    )


def _title(bar: Bar) -> str:
    if bar.first == bar.last:
        return f"Step {bar.first}"
    title = f"Steps {bar.first} to {bar.last}"
    if bar.start:
        title += f", from {timezone.localtime(bar.start):%H:%M:%S %Z}"
    if bar.tools:
        title += f": {bar.tools} step{'' if bar.tools == 1 else 's'} of tools"
    return title + (f", {bar.failed} failed" if bar.failed else "")


def _rectangle(bar: Bar, is_bucketed: bool) -> str:
    if is_bucketed:
        return f'<rect class="hit" x="{bar.x}" y="0" width="{bar.width}" height="48"/>'
    return (
        f'<rect class="{bar.lane}" x="{bar.x}" y="{bar.y}" width="{bar.width}"'
        f' height="{bar.height}"/>'
    )
