"""How whoever reads has set the pages: a look, a clock, single keys. Kept by the browser alone."""

import datetime as dt
import re

from django import template
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

# Cookies that runsheet.js writes, and what they may say; everything else is the default.
CHOICES = {"theme": ("light", "dark"), "zone": ("local",), "keys": ("off",)}

# As runs.freshness tells a moment: the day only if it is not today's, the year if not this one.
MOMENT = re.compile(
    r"(?:(?<=\bof )|(?<=\bsince ))(?:(\d{1,2} [A-Z][a-z]{2}(?: \d{4})?) )?(\d\d:\d\d:\d\d)"
)


def chosen(request: HttpRequest | None) -> dict[str, str]:
    """The choices that differ from the default."""
    cookies = request.COOKIES if request else {}
    return {name: cookies[name] for name, known in CHOICES.items() if cookies.get(name) in known}


@register.simple_tag(takes_context=True)
def choices(context: template.Context) -> SafeString:
    """Attributes of `<html>`, for style sheets and scripts."""
    return format_html_join("", ' data-{}="{}"', chosen(context.get("request")).items())


@register.simple_tag(takes_context=True)
def choice(context: template.Context, name: str) -> str:
    """What was chosen; "" is the default."""
    return chosen(context.get("request")).get(name, "")


@register.filter
def timed(sentence: str, now: dt.datetime | None = None) -> SafeString:
    """A sentence about freshness, each moment "as of" or "since" which it tells in a `<time>`."""
    now = (now or timezone.now()).astimezone(dt.UTC)
    pieces, end = [], 0
    for found in MOMENT.finditer(sentence):
        pieces.append((sentence[end : found.start()], ""))
        pieces.append((found[0], _iso(found[1], found[2], now)))
        end = found.end()
    pieces.append((sentence[end:], ""))
    written = (
        format_html('<time datetime="{1}">{0}</time>' if moment else "{0}", words, moment)
        for words, moment in pieces
    )
    return SafeString("".join(written))  # join alone would give a plain string, escaped once more


def _iso(day: str | None, clock: str, now: dt.datetime) -> str:
    """The moment of that day (today's, for None) as ISO 8601; "" if there is no such day."""
    try:
        date = _date(day, now) if day else now.date()
    except ValueError:
        return ""
    return f"{date}T{clock}Z"


def _date(day: str, now: dt.datetime) -> dt.date:
    """Raises ValueError. A day without a year is of this one, or of the last if it is to come."""
    if day[-4:].isdigit():
        return dt.datetime.strptime(day, "%d %b %Y").date()
    date = dt.datetime.strptime(f"{day} {now.year}", "%d %b %Y").date()
    return date.replace(year=date.year - 1) if date > now.date() else date
