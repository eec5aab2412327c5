"""The pieces of a run's page, brought from one version to the next.

All of it is made by what makes the page itself (`run_page`, `timeline`, `cost_page` and their
templates), so that a page which was kept up to date equals one that is loaded anew.

What is small follows each version at once (`quick`); what is big or dear, and what moves with
time alone, follows every few seconds (`slow`). Of both, a browser is sent only the parts that
differ from those it has, which its stream knows by their digests.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from django.template.loader import render_to_string
from django.utils import timezone

from dashboard import cost_page, reading, run_page, timeline
from dashboard import outline as outlines
from dashboard.audience import Audience
from dashboard.live.renderings import Part, Parts
from dashboard.passages import Asked
from dashboard.step_lines import lines
from runs.models import Run

# Above this many steps at once a page is sent the first of them and fetches the others as it is
# scrolled, as it does with the steps of a long run anyway.
MOST_STEPS = 200

# Columns of megabytes, and the tabs that show them.
HEAVY = {"output": ("result", "read"), "logs": ("logs",)}


class Page(NamedTuple):
    """What a page shows of its run: `at` is the entry around which costs are shown, or a step of
    the document's page; of that, steps up to `folded` are folded."""

    tab: str
    at: int | None = None
    as_text: bool = False
    folded: int | None = None


class Shape:
    """A page and for whom it is: one object for all streams of that kind, so that it is told
    from others by what it is and not by comparing."""

    __slots__ = ("audience", "page")

    def __init__(self, page: Page, audience: Audience) -> None:
        self.page, self.audience = page, audience


shape = lru_cache(maxsize=10_000)(Shape)


class CatchUp(msgspec.Struct, frozen=True):
    """Told when more steps changed than were sent: those up to position `up_to` were; the last
    step that there is stands at `last`."""

    up_to: int
    last: int


class Pieces(NamedTuple):
    """`html` brings a page that had other parts to `parts`, as of `version`."""

    version: int
    html: str
    parts: Parts
    catch_up: CatchUp | None = None


def quick(pk: int, since: int, have: Parts, page: Page, audience: Audience) -> Pieces | None:
    """What `page` at version `since` lacks of what follows at once; None if the run is gone."""
    run = find(pk, page)
    if run is None:
        return None
    html, parts = differing(_around(run, page, audience), have)
    if page.tab != "timeline":
        return Pieces(run.version, html, parts)
    steps, catch_up = _steps(run, since, audience)
    return Pieces(run.version, html + steps, parts, catch_up)


def slow(pk: int, page: Page, audience: Audience) -> tuple[int, tuple[Part, ...]] | None:
    """The run's version and what of `page` follows every few seconds; None if the run is gone."""
    run = find(pk, page)
    return (run.version, tuple(_heavy(run, page, audience))) if run else None


def head(pk: int, audience: Audience) -> str:
    """How the run stands: also says what changes without a new version, such as a stall."""
    run = find(pk, Page(""))
    return _piece("runs/_head.html", run_page.head(run, audience, timezone.now())) if run else ""


def freshness(pk: int, audience: Audience) -> str:
    run = find(pk, Page(""))
    return _piece("runs/_fresh.html", run_page.fresh(run, audience, timezone.now())) if run else ""


def find(pk: int, page: Page) -> Run | None:
    unread = [column for column, tabs in HEAVY.items() if page.tab not in tabs]
    runs = Run.objects.select_related("poll").defer("poll__seen_digest", *unread)
    return runs.filter(pk=pk).first()


def _piece(template: str, context: dict[str, Any]) -> str:
    return render_to_string(template, context | {"oob": True})


def _around(run: Run, page: Page, audience: Audience) -> Iterator[Part]:
    now = timezone.now()
    yield Part("tab", _piece("runs/_tab.html", {"run": run}))
    yield Part("head", _piece("runs/_head.html", run_page.head(run, audience, now)))
    yield Part("facts", _piece("runs/_facts.html", run_page.facts(run, audience, now)))
    yield Part("tabs", _piece("runs/_tabs.html", run_page.tabs(run, audience, page.tab)))
    if page.tab == "timeline":
        yield Part("above", _piece("runs/_above.html", timeline.above(run, audience, now)))
        yield Part("none", _piece("runs/_none.html", run_page.no_steps(run)))


def _heavy(run: Run, page: Page, audience: Audience) -> Iterator[Part]:
    now = timezone.now()
    strip = timeline.strip(run, audience, now, page.tab)
    yield Part("fresh", _piece("runs/_fresh.html", run_page.fresh(run, audience, now)))
    yield Part("strip", _piece("runs/_strip.html", strip))
    match page.tab:
        case "read":
            asked = Asked(at=page.at, folded=page.folded)
            document = reading.page(run, audience, now, asked)
            document |= run_page.title(run, audience, now)
            yield Part("reading", _piece("runs/_reading.html", document))
        case "cost":
            totals = cost_page.totals(run, audience, now)
            entries = cost_page.entries(run, audience, now, page.at)
            yield Part("totals", _piece("runs/_cost.html#totals", totals))
            yield Part("entries", _piece("runs/_cost.html#entries", entries))
        case "result":
            result = run_page.result(run, audience, now, page.as_text)
            yield Part("result", _piece("runs/_result.html#result", result))
        case "logs":
            yield Part("logs", _piece("runs/_logs.html#logs", run_page.logs(run, audience, now)))


def differing(parts: Iterable[Part], have: Parts) -> tuple[str, Parts]:
    """Those of `parts` that a browser does not have, and what it has with them."""
    known = dict(have)
    parts = list(parts)
    digests = tuple(
        (part.name, hashlib.blake2b(part.html.encode(), digest_size=12).digest()) for part in parts
    )
    html = (
        part.html
        for part, (name, digest) in zip(parts, digests, strict=True)
        if known.get(name) != digest
    )
    return "".join(html), digests


def _steps(run: Run, since: int, audience: Audience) -> tuple[str, CatchUp | None]:
    """The steps that came or changed, as htmx takes them to the end of `ol#steps`; the script
    puts in place those that are there already."""
    changed = timeline.changed_steps(run, since, MOST_STEPS + 1)
    sent = changed[:MOST_STEPS]
    now = timezone.now()
    items = "".join(timeline.item(line, run, audience, now) for line in lines(run, sent))
    html = f'<ol hx-swap-oob="beforeend:#steps">{items}</ol>' if items else ""
    if len(changed) <= MOST_STEPS:
        return html, None
    return html, CatchUp(up_to=sent[-1].position, last=outlines.of(run).total)
