"""A run as a row of a table: `<tr>`, for the first paint and for the live update alike.

By functions, as the timeline's lines are (`step_items`): fifty rows by Django's templates were
half the time of a list. Every value is ours, safe already, or goes through `escape`.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from django.utils.safestring import SafeString, mark_safe

from dashboard.audience import Audience
from dashboard.rendering.text import visible
from dashboard.templatetags.runsheet import (
    count,
    elapsed,
    money,
    opening,
    remark_on,
    status_mark,
    when,
)
from runs.models import Poll, Run

_NAME = 60  # characters of an agent's name


class Table(NamedTuple):
    """What the rows of a table share. `columns`: of `saved.columns.COLUMNS`, in order.
    `has_ticks`: runs can be ticked for comparing. `oob`: rows are sent out of band."""

    audience: Audience
    now: dt.datetime
    agent_names: Mapping[str, str]
    columns: Sequence[str]
    has_ticks: bool = False
    oob: bool = False


def row(run: Run, table: Table) -> SafeString:
    """The row of a run that came through `rows.for_rows`."""
    ticks, cells = "", []
    if table.has_ticks:
        ticks = (
            f'<input type="checkbox" name="run" value="{escape(run.run_id)}" form="compare-ticked"'
            ' aria-label="Choose for comparing" autocomplete="off">'
        )
    for column in table.columns:
        css, label, cell = _CELLS[column]
        told = f' data-label="{label}"' if label else ""
        cells.append(f'<td class="{css}"{told}>{cell(run, table)}</td>\n')
    oob = ' hx-swap-oob="true"' if table.oob else ""
    fetched = " data-fetched" if table.has_ticks else ""
    return mark_safe(  # escaped and safe parts alone
        f'<tr id="run-{run.pk}" data-version="{run.version}"{oob}>\n'
        f'<td class="n"{fetched}>{ticks}</td>\n{"".join(cells)}</tr>\n'
    )


def _absent(words: str) -> str:
    return f'<span class="absent">{words}</span>'


def _status(run: Run, table: Table) -> str:
    mark = status_mark(run.status)
    remark = remark_on(run, table.now)
    if remark is None:
        return mark
    # Our own word beside the provider's status, never instead of it.
    return (
        f'{mark} <span class="remark" title="{escape(remark.sentence)}"><svg viewBox="0 0 16 16"'
        f' aria-hidden="true"><path d="M5.5 3.5v9m5-9v9"/></svg><span>{escape(remark.word)}</span>'
        "</span>"
    )


def _request(run: Run, table: Table) -> str:
    said: str | None = getattr(run, "opening", None)
    words = f'<bdi class="said">{escape(opening(said))}</bdi>' if said else _id(run, table)
    return f'<a href="{escape(table.audience.url("timeline", run))}">{words}</a>'


def _id(run: Run, table: Table) -> str:
    return f"<code>{escape(run.run_id)}</code>"


def _agent(run: Run, table: Table) -> str:
    if name := table.agent_names.get(run.agent_id or ""):
        return f"<bdi>{escape(opening(name, _NAME))}</bdi>"
    return f"<code>{escape(run.agent_id)}</code>" if run.agent_id else _absent("not reported")


def _started(run: Run, table: Table) -> str:
    if run.may_wait:
        return _absent("not started")
    return when(run.started_at, table.now)


def _took(run: Run, table: Table) -> str:
    return elapsed(run, table.now) if run.started_at or run.is_active else ""


def _read_at(run: Run) -> dt.datetime | None:
    try:
        return run.poll.last_ok_at
    except Poll.DoesNotExist:
        return None


def _has_steps(run: Run) -> bool:
    return bool(run.step_count or _read_at(run))


def _steps(run: Run, table: Table) -> str:
    if not _has_steps(run):
        return _absent("not read yet")
    title = f"{count(run.tool_call_count)} tool calls"
    return f'<span title="{title}">{count(run.step_count)}</span>'


def _calls(run: Run, table: Table) -> str:
    return count(run.tool_call_count) if _has_steps(run) else _absent("not read yet")


def _cost(run: Run, table: Table) -> str:
    if run.cost_micros is None and run.is_active:
        return _absent("not yet")
    if run.cost_micros is None and not run.is_read:
        return _absent("not read yet")
    return money(run.cost_micros)


def _model(run: Run, table: Table) -> str:
    model = run.effective_model
    if model:
        return f"<code>{visible(model)}</code>"
    return _absent("not reported" if run.is_read else "not read yet")


def _created(run: Run, table: Table) -> str:
    return when(run.listed_at, table.now)


def _ended(run: Run, table: Table) -> str:
    if run.completed_at is None and run.is_active:
        return _absent("not yet")
    return when(run.completed_at, table.now)


def _as_of(run: Run, table: Table) -> str:
    return when(_read_at(run), table.now)


# By column: the classes of its cells, what names them on a narrow screen, and what is in them.
_CELLS: dict[str, tuple[str, str, Callable[[Run, Table], str]]] = {
    "status": ("state", "", _status),
    "request": ("words", "", _request),
    "agent": ("agent", "", _agent),
    "started": ("figure start", "", _started),
    "took": ("figure took", "", _took),
    "steps": ("figure steps", "Steps", _steps),
    "cost": ("figure cost", "", _cost),
    "model": ("model", "Model", _model),
    "created": ("figure created", "Created", _created),
    "ended": ("figure ended", "Ended", _ended),
    "calls": ("figure calls", "Tool calls", _calls),
    "asof": ("figure asof", "As of", _as_of),
    "id": ("id", "", _id),
}
