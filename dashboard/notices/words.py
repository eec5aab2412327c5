"""What messages say. No text of a run: its id, how it stands, when, a link, and the cost and the
first line of the prompt only if the site's rules let them.

Both are texts of others where they are told: they are brought into one line, so that no header and
no line of ours can be forged, and a webhook is sent them escaped.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from dashboard import logs
from dashboard.notices.models import Event, Message, Notice, NoticeRules
from dashboard.templatetags.runsheet import money_text
from runs.models import Run

MOST_LINES = 100  # notices named in one message; the others are counted
ID_SHOWN = 16
TITLE_SHOWN = 80
WHY = "You get this because you follow the run, or were mentioned. To change what you get:"


class Words(NamedTuple):
    subject: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def address(name: str, *args: str) -> str:
    """Of a page, as it can be reached from elsewhere, if PUBLIC_URL says how."""
    base = settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"
    return f"{base}{reverse(name, args=args)}"


def compose(
    kind: str, notices: Sequence[Notice], rules: NoticeRules, here: ZoneInfo, day: dt.datetime
) -> Words:
    """`notices`: with their runs, oldest first. `here`: where the reader's clock is."""
    if kind == Message.Kind.SINGLE:
        return _single(notices[0], rules, here)
    number = f"{len(notices)} notice{'' if len(notices) == 1 else 's'}"
    if kind == Message.Kind.DIGEST:
        subject = f"Runsheet on {day.astimezone(here):%-d %B %Y}: {number}"
    else:
        subject = f"Runsheet: {number} at once"
    lines = [f"{_sentence(one, rules)}\n  {_moment(one, here)}  {_link(one)}" for one in notices]
    more = len(lines) - MOST_LINES
    if more > 0:
        lines = [*lines[:MOST_LINES], f"and {more} more: {address('notices')}"]
    return Words(subject, tuple(lines))


def test() -> Words:
    sentence = "This is a test of Runsheet’s notices. It reached you, so notices will."
    return Words("Runsheet: a test", (sentence,))


def short_id(run: Run) -> str:
    return run.run_id if len(run.run_id) <= ID_SHOWN + 3 else f"{run.run_id[:ID_SHOWN]}..."


def what(notice: Notice, rules: NoticeRules) -> str:
    """What happened, to follow the run's name: "failed", "has cost more than $5.00"."""
    match notice.event:
        case Event.FAILED:
            return "failed"
        case Event.COMPLETED:
            return "was cancelled" if notice.status == Run.Status.CANCELLED else "completed"
        case Event.STALLED:
            return f"looks stalled: {notice.told}"
        case Event.COST:
            if rules.tells_cost and notice.limit_micros is not None:
                return f"has cost more than {money_text(notice.limit_micros, 6)}"
            return "has passed the limit of its cost"
        case _:
            return "has a note that mentions you"


def _single(notice: Notice, rules: NoticeRules, here: ZoneInfo) -> Words:
    run = f"run {short_id(notice.run)}"
    subject = f"Runsheet: {run} {what(notice, rules).partition(':')[0]}"
    facts = [f"Status: {_plain(notice.status) or 'not reported'}", f"When: {_moment(notice, here)}"]
    if rules.tells_cost and notice.event != Event.MENTIONED:
        facts.insert(1, f"Cost so far: {money_text(notice.cost_micros, 6)}")
    return Words(subject, (f"{_sentence(notice, rules)}.", *facts, _link(notice)))


def _sentence(notice: Notice, rules: NoticeRules) -> str:
    title = _title(notice.run) if rules.tells_title else ""
    named = f"Run {short_id(notice.run)}{f' (“{title}”)' if title else ''}"
    return f"{named} {what(notice, rules)}"


def _title(run: Run) -> str:
    """The first line of the prompt."""
    first = next((line for line in (run.prompt or "").splitlines() if line.strip()), "")
    title = _plain(" ".join(first.split()))
    return title if len(title) <= TITLE_SHOWN else f"{title[: TITLE_SHOWN - 1]}…"


def _plain(text: str) -> str:
    return logs.mask("".join(c if c.isprintable() else " " for c in text)).strip()


def _moment(notice: Notice, here: ZoneInfo) -> str:
    """When it happened; and when it was noticed, if much later."""
    told = f"{notice.happened_at.astimezone(here):%-d %b %Y, %H:%M} ({here.key})"
    if notice.at - notice.happened_at > dt.timedelta(minutes=10):
        told += f", seen by Runsheet at {notice.at.astimezone(here):%-d %b, %H:%M}"
    return told


def _link(notice: Notice) -> str:
    if notice.event == Event.MENTIONED:
        return f"{address('run-notes', notice.run.run_id)}#note-{notice.note_id}"
    return address("run", notice.run.run_id)
