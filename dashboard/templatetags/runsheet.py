"""How values become words on a page: money, spans, times, sizes, counts, and the status mark.

Absent, zero and empty are three things to a reader: a filter says "not reported" for None,
and never turns it into a zero.
"""

import datetime as dt
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dashboard.audience import Audience
from dashboard.filters import SORTS
from dashboard.rendering.text import visible_plain
from dashboard.saved.columns import ListColumn
from runs import freshness, stalls
from runs.models import Poll, Run

register = template.Library()

MICROS = 1_000_000  # in one dollar
ABSENT = "not reported"
MINUS = "\N{MINUS SIGN}"


def _absent(word: str = ABSENT) -> SafeString:
    return format_html('<span class="absent">{}</span>', word)


# Money ---------------------------------------------------------------------------------------


def money_text(micros: int | None, places: int = 4) -> str:
    """Micro-dollars as dollars, rounded half up to `places`: 185_100 is "$0.1851".

    Nothing is "$0.00"; something is never rounded away to zero: 3 is "$0.000003".
    """
    if micros is None:
        return ABSENT
    if micros == 0:
        return "$0.00"
    amount = abs(micros)
    step = 10 ** (6 - places)
    rounded = (amount + step // 2) // step * step
    if rounded == 0:
        rounded, places = amount, 6
    dollars, rest = divmod(rounded, MICROS)
    return f"{MINUS if micros < 0 else ''}${dollars:,}.{f'{rest:06}'[:places]}"


@register.filter
def money(micros: int | None, places: int = 4) -> SafeString:
    """Micro-dollars as marked-up dollars, exact to the micro-dollar in the title."""
    if micros is None:
        return _absent()
    number = f"{micros:,}".replace("-", MINUS)
    return mark_safe(  # digits
        f'<data class="money" value="{micros}" title="{money_text(micros, 6)},'
        f' {number} micro-dollars">{money_text(micros, places)}</data>'
    )


register.filter("money_text", money_text)


# Spans of time -------------------------------------------------------------------------------


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@register.filter
def duration_ms(ms: int | None) -> str:
    """Milliseconds: "12 ms", "0.4 s", "22.7 s", "3:41", "1:02:07", "3 d 4 h"."""
    if ms is None:
        return ABSENT
    if ms < 0:
        return MINUS + duration_ms(-ms)
    if ms == 0:
        return "0 s"
    if ms < 100:
        return f"{ms} ms"
    tenths = (ms + 50) // 100
    if tenths < 600:
        return f"{tenths // 10}.{tenths % 10} s"
    return _clock((ms + 500) // 1000)


@register.filter
def duration(span: dt.timedelta | None) -> str:
    """A timedelta: tenths below 10 s ("0.4 s"), whole seconds above ("47 s", "3:41")."""
    if span is None:
        return ABSENT
    ms = span // dt.timedelta(milliseconds=1)
    if abs(ms) < 9_950:
        return duration_ms(ms)
    sign, seconds = MINUS if ms < 0 else "", (abs(ms) + 500) // 1000
    return sign + (f"{seconds} s" if seconds < 60 else _clock(seconds))


# Moments -------------------------------------------------------------------------------------


def ago_text(moment: dt.datetime, now: dt.datetime) -> str:
    """How far `moment` is from `now`, in its largest unit: "just now", "3 min ago", "in 2 h"."""
    seconds = round((now - moment).total_seconds())
    distance = abs(seconds)
    if distance < 5:
        return "just now"
    for unit, size, below in (
        ("s", 1, 60),
        ("min", 60, 3_600),
        ("h", 3_600, 86_400),
        ("days", 86_400, None),
    ):
        if below is None or distance < below:
            number = distance // size
            unit = "day" if (unit, number) == ("days", 1) else unit
            break
    return f"{number} {unit} ago" if seconds > 0 else f"in {number} {unit}"


def exact_text(moment: dt.datetime) -> str:
    """The moment in the site's time zone, to the second, with the zone's name."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


def when_text(moment: dt.datetime, now: dt.datetime | None = None) -> str:
    """As short as it can be told from `now`: "10:42:07" today, "23 Nov 10:42", "23 Nov 2025"."""
    moment = timezone.localtime(moment)
    if now is None:
        return f"{moment:%Y-%m-%d %H:%M:%S}"
    today = timezone.localtime(now)
    if moment.date() == today.date():
        return f"{moment:%H:%M:%S}"
    if moment.year == today.year:
        return f"{moment.day} {moment:%b %H:%M}"
    return f"{moment.day} {moment:%b %Y}"


def iso(moment: dt.datetime) -> str:
    """As the script reads it: in UTC, "2026-11-23T10:42:07Z"."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


@register.filter
def when(moment: dt.datetime | None, now: dt.datetime | None = None) -> SafeString:
    """A `<time>` in short; its title has the whole moment and, given `now`, the distance."""
    if moment is None:
        return _absent()
    exact = exact_text(moment)
    title = f"{exact}, {ago_text(moment, now)}" if now else exact
    return mark_safe(  # digits, names of months and of zones
        f'<time datetime="{iso(moment)}" title="{title}">{when_text(moment, now)}</time>'
    )


@register.filter
def ago(moment: dt.datetime | None, now: dt.datetime | None = None) -> SafeString:
    """A `<time>` that tells the distance from `now`; the script keeps it true while one looks."""
    if moment is None:
        return _absent("never")
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        iso(moment),
        exact_text(moment),
        ago_text(moment, now or timezone.now()),
    )


@register.simple_tag
def elapsed(run: Run, now: dt.datetime) -> SafeString:
    """How long the run took, or has taken so far; while it may go on the script counts on.

    A run that nobody started yet shows how long it has waited, in a softer voice.
    """
    span = run.elapsed(now)
    if span is None and run.is_active and run.may_wait:
        waiting = max(now - run.listed_at, dt.timedelta(0))
        return format_html(
            '<span class="num soft" title="Waiting to be started" data-since="{}">{}</span>',
            iso(run.listed_at),
            duration(waiting),
        )
    if run.is_active and run.completed_at is None and run.started_at is not None:
        return format_html(
            '<span class="num" data-since="{}">{}</span>', iso(run.started_at), duration(span)
        )
    return _absent() if span is None else format_html('<span class="num">{}</span>', duration(span))


# Sizes and counts ----------------------------------------------------------------------------


@register.filter
def size(octets: int | None) -> str:
    """Bytes in decimal units: "0 B", "812 B", "18.4 kB", "4.0 MB"."""
    if octets is None:
        return ABSENT
    if octets < 1000:
        return f"{octets} B"
    # In tenths, so that 999,950 is 1.0 MB and never 1000.0 kB.
    for unit, factor in (("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)):
        tenths = (octets * 10 + factor // 2) // factor
        if tenths < 10_000 or unit == "GB":
            break
    return f"{tenths // 10:,}.{tenths % 10} {unit}"


@register.filter
def count(number: int | None) -> str:
    """A whole number with separators: "48,238"; None is "not reported"."""
    return ABSENT if number is None else f"{number:,}".replace("-", MINUS)


register.filter("tokens", count)


@register.filter
def reported(value: Any) -> Any:
    """Any value; None as "not reported" and an empty text or list as "none"."""
    if value is None:
        return _absent()
    if value in ("", [], {}):
        return _absent("none")
    return value


@register.filter
def opening(text: str | None, length: int = 160) -> str:
    """The first words of a long text on one line, hidden characters named, cut between words."""
    if text is None:
        return ABSENT
    line = " ".join(visible_plain(text[: length * 4]).split())
    if len(line) <= length and len(text) <= length * 4:
        return line
    head = line[:length]
    cut = head.rfind(" ", length - 24)
    return head[: cut if cut > 0 else length].rstrip(" ,;:.") + "…"


@register.filter
def at(mapping: Mapping[str, Any], key: str | None) -> Any:
    """The value of `key` in a mapping, None if it has none."""
    return mapping.get(key) if key is not None else None


# Marks ---------------------------------------------------------------------------------------


# The icon of each status, on a field of 16 by 16.
_ICONS = {
    "queued": '<path d="M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 5v3.2l2 1.3"/>',
    "running": '<path class="fill" d="M4.5 2.8 13 8l-8.5 5.2z"/>',
    "completed": '<path d="m2.8 8.6 3.4 3.6 7-8.2"/>',
    "failed": '<path d="m3.5 3.5 9 9m0-9-9 9"/>',
    "cancelled": '<path d="M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M4.2 11.8l7.6-7.6"/>',
    "unknown": '<path d="M5.2 5.6a2.8 2.8 0 1 1 4.3 2.4C8.5 8.6 8 9 8 10.2m0 2.6v.4"/>',
}
_UNNAMED = ' title="Case.dev sent a status that its reference does not name."'


@register.simple_tag
def status_mark(status: str) -> SafeString:
    """The one place where a status has an icon, a colour and a word: the API's."""
    if status in Run.Status.values:
        return _mark(status, escape(status))
    if not status:
        return _mark("unknown", "no status yet")
    note = '<span class="hidden-words"> (unknown status)</span>'
    return _mark("unknown", escape(status), _UNNAMED, note)


def _mark(name: str, word: str, title: str = "", note: str = "") -> SafeString:
    return mark_safe(  # parts of ours, and an escaped word
        f'<span class="status {name}"{title}><svg viewBox="0 0 16 16" aria-hidden="true">'
        f"{_ICONS[name]}</svg><span>{word}</span>{note}</span>"
    )


class Remark(NamedTuple):
    """Our own word beside the provider's status, and the sentence that explains it."""

    word: str
    sentence: str


@register.simple_tag
def remark_on(run: Run, now: dt.datetime) -> Remark | None:
    """What a reader must know before trusting the row: it stalled, or our sight of it is bad.

    Load `poll` with the run, or each row costs a query.
    """
    try:
        poll = run.poll
    except Poll.DoesNotExist:
        return None
    if poll.quarantined_at:
        return Remark("unreadable", f"Its answers cannot be read: {poll.last_error}")
    if poll.failures:
        seen = f"as of {exact_text(poll.last_ok_at)}" if poll.last_ok_at else "never fetched"
        return Remark("behind", f"{seen}; {poll.last_error}")
    if late := freshness.overdue(run, poll, now):
        return Remark("behind", late)
    stall = stalls.stall(run, poll, now)
    return Remark("stalled", stall.sentence) if stall else None


@register.simple_tag(takes_context=True)
def page_of(context: template.Context, run: Run, page: str = "timeline") -> str:
    """The address of a run's page for whoever looks: the context's `audience` knows it."""
    audience: Audience = context["audience"]
    return audience.url(page, run)


@register.simple_tag(takes_context=True)
def sort_head(context: template.Context, column: ListColumn) -> SafeString:
    """A column's head in the list of runs, which sorts by that column."""
    asked, sort = context["asked"], column.sort
    is_sorted = asked.sort == sort
    query = asked.query(sort="" if is_sorted else sort)
    return format_html(
        '<th scope="col" class="{}" aria-sort="{}"><a href="{}" title="{}">{}</a></th>',
        column.css,
        "descending" if is_sorted else "none",
        f"?{query or 'all'}",
        "Back to the newest first" if is_sorted else SORTS[sort].label + " first",
        column.label,
    )
