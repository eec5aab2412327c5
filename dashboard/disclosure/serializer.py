"""From the record to what may be shown. The only module of the disclosure that knows a run."""

from collections.abc import Iterable
from typing import Any

from dashboard import outline
from dashboard.disclosure.redaction import Redactor, redactor
from dashboard.disclosure.rules import Part, Rules, Terms
from dashboard.disclosure.shown import (
    CostShown,
    Disclosure,
    EntryShown,
    LogShown,
    RunShown,
    StepShown,
)
from runs.models import Poll, Run, Step, UsageEntry

AT_ONCE = 500  # rows in memory

# Label and column of each id, in the order of the API's reference.
IDS = (
    ("Run", "run_id"),
    ("Agent", "agent_id"),
    ("Workflow", "workflow_id"),
    ("Provider", "provider"),
    ("Runtime", "runtime_id"),
    ("Sandbox", "modal_sandbox_id"),
)
_QUOTED = {Part.SUMMARY, Part.TIMELINE, Part.THINKING, Part.TOOLS, Part.LOGS}
LISTS_AT_MOST = 2_000  # issues and objects


def run_shown(run: Run, terms: Terms) -> RunShown:
    out = redactor(terms.rules)
    cost = _cost(run, terms, out) if Part.COST in terms else None
    return RunShown(
        status=out.text(run.status, "status"),
        is_active=run.is_active,
        created_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
        as_of=_as_of(run),
        prompt=out.optional(run.prompt, "prompt") if Part.REQUEST in terms else None,
        guidance=out.optional(run.guidance, "guidance") if Part.REQUEST in terms else None,
        summary=_summary(run, terms, out),
        issues=_listed(run.issues, out, "issues") if Part.SUMMARY in terms else (),
        failure_cause=_failure_cause(run, terms, out),
        step_count=run.step_count if Part.TIMELINE in terms else None,
        entry_count=run.entry_count if cost else None,
        cost=cost,
        ids=_ids(run, out) if Part.IDS in terms else (),
        objects=_objects(run, out) if Part.IDS in terms else (),
    )


def output_shown(run: Run, terms: Terms) -> str | None:
    """Apart from `run_shown`, since it may hold megabytes that most pages do not read."""
    if Part.OUTPUT not in terms:
        return None
    return redactor(terms.rules).optional(run.output, "result", "output")


def step_shown(step: Step, terms: Terms, run: Run) -> StepShown:
    """Needs `Part.TIMELINE`; what the agent thought and what tools were given come by choice."""
    out = redactor(terms.rules)
    if out.hides_step(step.position):
        return StepShown(position=step.position, version=step.changed_version, is_redacted=True)
    tells = step.type != Step.Type.THINKING or Part.THINKING in terms
    # The content of a result is what the tool put out, and an unknown type may hold anything.
    if step.type not in (Step.Type.OUTPUT, Step.Type.THINKING):
        tells = Part.TOOLS in terms
    has_tools = Part.TOOLS in terms
    return StepShown(
        position=step.position,
        version=step.changed_version,
        type=out.text(step.type, "type"),
        tool=out.optional(step.tool_name, "toolName"),
        at=step.timestamp,
        duration_ms=step.duration_ms,
        content=out.optional(step.content, "content") if tells else None,
        tool_input=out.json(step.tool_input, "toolInput") if has_tools else None,
        tool_output=out.json(step.tool_output, "toolOutput") if has_tools else None,
        state=_state(step, run, tells_failure=has_tools),
    )


def _state(step: Step, run: Run, *, tells_failure: bool) -> str:
    state = outline.state_of(run, step)
    return "done" if state == "failed" and not tells_failure else state


def entry_shown(entry: UsageEntry, terms: Terms) -> EntryShown:
    """Needs `Part.COST`. Addresses name vaults and objects, metadata may: both go with the ids."""
    out = redactor(terms.rules)
    has_ids = Part.IDS in terms
    endpoint = out.optional(entry.endpoint, "endpoint")
    if endpoint and not has_ids:
        endpoint = _NO_IDS.text(endpoint)
    return EntryShown(
        position=entry.position,
        kind=out.text(entry.kind, "kind"),
        service=out.optional(entry.service, "service"),
        endpoint=endpoint,
        method=out.optional(entry.method, "method"),
        status_code=entry.status_code,
        model=out.optional(entry.model, "model"),
        prompt_tokens=entry.prompt_tokens,
        completion_tokens=entry.completion_tokens,
        total_tokens=entry.total_tokens,
        cost_micros=entry.cost_micros,
        at=entry.timestamp,
        metadata=out.json(entry.metadata, "metadata") if has_ids else None,
    )


def logs_shown(run: Run, terms: Terms) -> tuple[LogShown, ...]:
    if Part.LOGS not in terms or not isinstance(run.logs, list):
        return ()
    out = redactor(terms.rules)
    return tuple(
        LogShown(
            number=number, name=out.text(name or ""), text=out.text(text or "", "logs", name or "")
        )
        for number, (name, text) in enumerate(run.logs, 1)
    )


def whole(run: Run, terms: Terms) -> Disclosure:
    """Everything that the link shows now. Reads each step once, and as many at a time as fit."""
    steps: Iterable[Step] = ()
    entries: Iterable[UsageEntry] = ()
    if Part.TIMELINE in terms:
        steps = run.steps.present().order_by("position").iterator(AT_ONCE)
    if Part.COST in terms:
        found = run.entries.filter(vanished_at=None).order_by("position")
        entries = found.iterator(AT_ONCE)
    return Disclosure(
        shows=terms.shows,
        run=run_shown(run, terms),
        output=output_shown(run, terms),
        steps=tuple(step_shown(step, terms, run) for step in steps),
        entries=tuple(entry_shown(entry, terms) for entry in entries),
        logs=logs_shown(run, terms),
    )


_NO_IDS = Redactor(Rules(kinds=("id",)))


def _as_of(run: Run) -> Any:
    try:
        return run.poll.last_ok_at
    except Poll.DoesNotExist:
        return None


def _failure_cause(run: Run, terms: Terms, out: Redactor) -> str | None:
    """It quotes an issue, a log or the last step, whatever its type and number: so it comes with
    all of these, and not if a rule takes out any step or field."""
    if not run.failure_cause or not terms.shows >= _QUOTED:
        return None
    if terms.rules.steps or terms.rules.fields:
        return None
    return out.text(run.failure_cause)


def _summary(run: Run, terms: Terms, out: Redactor) -> str | None:
    if Part.SUMMARY not in terms:
        return None
    return out.optional(run.summary, "result", "finalResponse", "summary")


def _cost(run: Run, terms: Terms, out: Redactor) -> CostShown:
    tokens = run.total_tokens
    if tokens is None and run.input_tokens is not None and run.output_tokens is not None:
        tokens = run.input_tokens + run.output_tokens
    return CostShown(
        cost_micros=run.cost_micros,
        entries_micros=run.entries_cost_micros,
        summary_micros=run.summary_cost_micros,
        total_tokens=tokens,
        model=out.optional(run.effective_model, "model"),
    )


def _listed(value: Any, out: Redactor, name: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(out.text(str(item), name) for item in items[:LISTS_AT_MOST])


def _ids(run: Run, out: Redactor) -> tuple[tuple[str, str], ...]:
    pairs = ((label, getattr(run, column), column) for label, column in IDS)
    return tuple((label, out.text(value, column)) for label, value, column in pairs if value)


def _objects(run: Run, out: Redactor) -> tuple[str, ...]:
    made = _listed(run.created_object_ids, out, "createdObjectIds")
    put_out = _listed(run.output_object_ids, out, "outputObjectIds")
    return tuple(dict.fromkeys((*made, *put_out)))
