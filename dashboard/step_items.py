"""A line of the timeline as HTML: `<li>` of `ol#steps`.

By functions, not by a template: a page holds a hundred lines of about thirty values each, which
Django's templates took 70 ms to fill and these take 4. Every value is ours, safe already, or goes
through `escape`.
"""

import datetime as dt
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from django.utils.safestring import SafeString, mark_safe

from dashboard.audience import Audience
from dashboard.rendering.text import visible
from dashboard.step_lines import Line
from dashboard.step_search import Excerpt
from dashboard.templatetags.runpage import clock, ran_for
from dashboard.templatetags.runsheet import duration, duration_ms, iso, opening, size, when
from runs.models import Run

_PEEK = 80  # characters of what an agent thought, beside the word "Thinking"


class Place(NamedTuple):
    """Where lines are shown. `is_short`: the page holds all steps of the run."""

    run: Run
    audience: Audience
    now: dt.datetime
    is_short: bool

    def step(self, line: Line) -> str:
        return self.audience.url("step", self.run, line.position)

    def ref(self, position: int, gone: int | None = None) -> str:
        """Where a step stands in the timeline: on this page if all do, else in its window."""
        anchor = f"#s{position}" if gone is None else f"#s{position}-was-{gone}"
        if self.is_short:
            return anchor
        return f"{self.audience.url('timeline', self.run)}?at={position}{anchor}"


def item(line: Line, place: Place) -> SafeString:
    """The line of a step."""
    gone = line.pk if line.vanished_at else None
    classes = f"{line.kind} {line.state}" if line.state else line.kind
    classes += " gone" if gone else ""
    body = _BODIES.get(line.kind, _act)(line, place)
    finds = "".join(_find(find, place.step(line)) for find in line.finds)
    return mark_safe(  # escaped and safe parts alone
        f'<li id="{line.dom_id}" class="{classes}" data-version="{line.version}"'
        f' data-row="{line.pk}"><a class="n" href="{escape(place.ref(line.position, gone))}">'
        f'{line.position}</a><div class="body">{body}{finds}</div></li>'
    )


def _thinking(line: Line, place: Place) -> str:
    address = escape(place.step(line))
    peek = escape(opening(line.peek, _PEEK))
    return (
        '<details><summary><span class="what"><b>Thinking</b> <em>the model’s own notes</em>'
        f' <span class="peek">{peek}</span>{_marks(line, place)}</span>{_when(line, place)}'
        f'</summary><div hx-disable class="notes" dir="auto">{line.said}</div>'
        f"{_cut(line, address)}"
        f'<p class="about"><a href="{address}">Step {line.position}</a></p></details>'
    )


def _output(line: Line, place: Place) -> str:
    address = escape(place.step(line))
    look = "markdown" if line.is_formatted else "say"
    rest = ""
    if line.rest:
        rest = (
            '<details class="rest"><summary>The rest'
            f" <small>{size(line.said_size)} in all</small></summary>"
            f'<div class="{look}" dir="auto">{line.rest}</div></details>'
        )
    return (
        f'<div class="row"><div class="{look}" dir="auto">{line.said}</div>'
        f'<a class="open" href="{address}" title="Step {line.position} alone">'
        f"{_when(line, place)}</a></div>{rest}{_marks(line, place)}{_cut(line, address)}"
    )


def _act(line: Line, place: Place) -> str:
    """A call of a tool, a result, or a step of a type that nobody knows."""
    address = escape(place.step(line)) + (f"?was={line.pk}" if line.vanished_at else "")
    untold = ' <em class="mark warn">no outcome was told</em>' if line.state == "open" else ""
    said = f'<div class="say" dir="auto">{line.said}{line.rest}</div>' if line.said else ""
    words = line.caption.html if line.caption else ""
    return (
        f'<details hx-get="{address}" hx-trigger="toggle once, again" hx-target="find .opened">'
        f'<summary><span class="what">{words}{untold}{_marks(line, place)}</span>'
        f'{_when(line, place)}</summary><div class="opened"><a href="{address}">'
        f"Input and output of step {line.position}</a></div></details>{said}{_pair(line, place)}"
    )


_BODIES = {"thinking": _thinking, "output": _output}


def _when(line: Line, place: Place) -> str:
    return f'<span class="when">{"".join(_times(line, place))}</span>'


def _times(line: Line, place: Place) -> Iterator[str]:
    if line.gap:
        title = "Nothing was told for so long before this step"
        yield f'<span class="gap" title="{title}">+{escape(duration(line.gap))}</span> '
    if line.state != "running":
        took = "" if line.duration_ms is None else escape(duration_ms(line.duration_ms))
        yield f'{clock(line.timestamp)}<span class="took">{took}</span>'
        return
    yield f"since {clock(line.timestamp)}"
    if line.timestamp:
        since, span = iso(line.timestamp), escape(ran_for(line.timestamp, place.now))
        yield f' <b class="num" data-since="{since}">{span}</b>'


def _marks(line: Line, place: Place) -> str:
    if not (line.labels or line.notes or line.vanished_at or line.was_changed) and line.is_known:
        return ""
    marks = [("label", escape(name)) for name in line.labels]
    if line.notes:
        marks.append(("label", f"{line.notes} note{'' if line.notes == 1 else 's'}"))
    if line.vanished_at:
        marks.append(("warn", f"no longer reported since {when(line.vanished_at, place.now)}"))
    if line.was_changed:
        marks.append(("", "changed later"))
    if not line.is_known:
        marks.append(("warn", "unknown type" if line.type else "no type reported"))
    return "".join(
        f' <em class="{f"mark {kind}" if kind else "mark"}">{words}</em>' for kind, words in marks
    )


def _cut(line: Line, address: str) -> str:
    if not line.said_is_cut:
        return ""
    return f'<p class="cut"><a href="{address}">All of it, {size(line.said_size)}</a></p>'


def _pair(line: Line, place: Place) -> str:
    other, words = line.question, "answers step"
    if not other:
        other, words = line.answer, "answered in step"
    if not other:
        return ""
    return f'<a class="pair" href="{escape(place.ref(other))}">{words} {other}</a>'


def _find(find: Excerpt, address: str) -> str:
    return (
        f'<p class="note"><a href="{escape(address)}">{escape(find.where)}</a> '
        f"{visible(find.before)}<mark>{visible(find.hit)}</mark>{visible(find.after)}</p>"
    )
