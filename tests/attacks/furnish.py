"""Rows whose every text is a payload, for pages that show few texts of each row.

SQLite holds no column to its length, so a name of sixty characters may hold ten payloads here:
what a page does with a text does not depend on how long the form lets it be.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from django.db import models, transaction
from django.utils import timezone

from dashboard.audit import acts, chain
from dashboard.audit.models import Act, AuditEntry, Result
from dashboard.rendering import markdown
from runs.models import Agent, Run
from tests.attacks.hostile import Supply
from tests.factories import make_poll, make_runs

# By which a row is found, or which have a meaning of their own.
KEPT = {
    *("run_id", "public_id", "status", "type", "kind", "of", "agent_id", "prompt_key"),
    *("passphrase", "password", "email", "session_key", "provider", "cursor", "colour"),
}


def reword(rows: Iterable[models.Model], supply: Supply, count: int = 1, **only: int) -> None:
    """New payloads in all texts of `rows`, `count` in each; `only`: these columns, so many."""
    rows = list(rows)
    if not rows:
        return
    model = type(rows[0])
    wanted = only or dict.fromkeys(texts_of(model), count)
    for row in rows:
        for name, number in wanted.items():
            setattr(row, name, supply.some(number, " "))
    model._base_manager.bulk_update(rows, [*wanted], batch_size=100)


def texts_of(model: type[models.Model]) -> list[str]:
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        and not (field.unique or field.choices or field.name in KEPT)
    ]


def listed_runs(supply: Supply, count: int) -> list[Run]:
    """Runs for lists, in all states, each of an agent of its own."""
    now = timezone.now()
    runs = make_runs(count)
    for number, run in enumerate(runs):
        run.status = ("running", "failed", "completed", "queued", "cancelled")[number % 5]
        run.agent_id = f"agent_{number:03}"
        make_poll(run)
        Agent.objects.create(agent_id=run.agent_id, fetched_at=now)
    Run.objects.bulk_update(runs, ["status", "agent_id"])
    reword_runs(runs, supply)
    return runs


def reword_runs(runs: list[Run], supply: Supply) -> None:
    reword(runs, supply, model=1, prompt=1, summary=1, failure_cause=1)
    reword(Agent.objects.filter(agent_id__in=[run.agent_id for run in runs]), supply, name=1)


@transaction.atomic
def looks(run: Run, supply: Supply, count: int = 50) -> None:
    """Rows of the log: people, pages and details that nobody would have."""
    for _ in range(count):
        words: dict[str, Any] = {key: supply.one() for key in ("name", "page")}
        acts.record(Act.LOOK, run=run.run_id, detail=supply.some(3, " "), **words)


def long_entry(run: Run, supply: Supply) -> AuditEntry:
    """A row with more words than `acts.record` would let into one."""
    texts = {name: supply.some(60, " ") for name in ("name", "page", "detail", "address")}
    entry = AuditEntry(act=Act.LOOK, result=Result.OK, run=run.run_id, **texts)
    chain.append(entry)
    return entry


def addresses(supply: Supply) -> str:
    """A link as long as one may be once it is escaped. What the site takes for no address (for
    odd signs in it) is no link, and so not shown."""
    while True:
        address = "https://h.example/?q="
        while len(more := address + _escaped(supply.one())) < 1_200:
            address = more
        if markdown.link(text := f"[a link](<{address}>)", 1):
            return text


def mark_in(text: str) -> str:
    """The mark of the one link that `addresses` makes, as a page writes it."""
    (mark,) = re.findall(r'href="/x/([0-9a-f]+)/"', markdown.render(text, "/x/", by_mark=True))
    return str(mark)


def _escaped(text: str) -> str:
    return "".join(
        quote(c, safe="", errors="replace") if c in "<>\\&\x7f" or c <= " " else c for c in text
    )
