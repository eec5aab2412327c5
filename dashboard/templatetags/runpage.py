"""What only the pages of a run need: their addresses, and how a step's facts are worded."""

import datetime as dt

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dashboard.audience import Audience
from dashboard.rendering import text
from dashboard.templatetags.runsheet import count, duration, exact_text, iso

register = template.Library()


@register.simple_tag(takes_context=True)
def page_url(context: template.Context, page: str, *parts: str | int) -> str:
    """The address of a page of the run in context, for the audience in context."""
    audience: Audience = context["audience"]
    return audience.url(page, context["run"], *parts)


@register.filter
def may_see(audience: Audience, page: str) -> bool:
    return audience.may_see(page)


@register.filter
def visible(value: str | None) -> SafeString:
    """Untrusted text as HTML with a mark for each character that cannot be seen."""
    return text.visible(value or "")


@register.filter
def clock(moment: dt.datetime | None) -> SafeString:
    """A `<time>` to the second; the title has the day and the fraction as it was told."""
    if moment is None:
        return format_html('<span class="absent">{}</span>', "no time")
    moment = moment.astimezone(dt.UTC)
    fraction = f" and {moment.microsecond // 1000} ms" if moment.microsecond else ""
    return mark_safe(  # digits and names of zones
        f'<time datetime="{iso(moment)}" title="{exact_text(moment)}{fraction}">'
        f"{moment:%H:%M:%S}</time>"
    )


@register.filter
def ran_for(moment: dt.datetime | None, now: dt.datetime) -> str:
    """How long something has gone on since `moment`; "" where that is not known."""
    return duration(max(now - moment, dt.timedelta(0))) if moment else ""


@register.filter
def share(part: int | None, whole: int) -> int:
    """`part` in thousandths of `whole`, for the width of a bar; 0 where there is nothing."""
    return max(min((part or 0) * 1000 // whole, 1000), 0) if whole else 0


@register.filter
def told(value: str | None) -> SafeString:
    """A name as it was sent; a dash for what has none."""
    if value is None:
        return format_html('<span class="absent" title="{}">–</span>', "none")
    if not value:
        return format_html('<span class="absent">{}</span>', "empty")
    # Long paths and models may break after a slash, and only there.
    parts = [text.visible(part) for part in value.split("/")]
    return mark_safe("/<wbr>".join(parts))


@register.filter
def count_told(number: int | None) -> str | SafeString:
    """A number in a table; a dash for none, never a zero."""
    return told(None) if number is None else count(number)
