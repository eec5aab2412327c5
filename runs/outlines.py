"""Keeps what is derived from a run's steps: their marks (`unanswered`, `failed`, `partner`) and the
run's tally. Called by sync within its transaction; the work follows the steps that changed.
"""

from collections.abc import Iterator, Mapping
from itertools import batched, chain
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from django.db.models import Q, QuerySet
from django.db.models.functions import Left

from runs import bulk, direct, outcomes, pairing
from runs.models import Outline, Run, Step
from runs.tally import USES, Fact, Tally

_told_by = itemgetter(*Fact._fields[1:])
MARKS = ("unanswered", "failed")  # what a step's own columns tell
BATCH = 500  # rows of texts that are judged at a time

_decoder = msgspec.msgpack.Decoder(Tally)


def of(run: Run) -> Tally:
    """The tally of `run`. One that nobody keeps yet is made for the asking, but not stored."""
    stored = Outline.objects.filter(run_id=run.pk).values_list("body", flat=True).first()
    if stored is not None:
        return _decoder.decode(bytes(stored))
    return _tallied(run) if run.step_count else Tally(open_calls=0)


def open_calls(run: Run, tally: Tally) -> int:
    """How many calls of `run` nothing has answered; asked of the steps if `tally` is too old."""
    if tally.open_calls is not None:
        return tally.open_calls
    return run.steps.present().filter(unanswered=True, partner=None).count()


def marks(step: Mapping[str, Any]) -> dict[str, bool]:
    """What the columns of a step tell by themselves, before it is paired. Of the output no more
    than outcomes.PREFIX characters and one are looked at."""
    kind, output = step["type"], step["tool_output"]
    if kind not in USES:
        return {"unanswered": False, "failed": False}
    return {
        "unanswered": kind == pairing.CALL and not pairing.is_answered(output),
        "failed": bool(outcomes.failure(step["tool_name"], output)),
    }


def mark(step: Step) -> None:
    """Bring the marks of `step` up to its other columns."""
    found = marks(vars(step))
    hangs_on_partner = step.unanswered and found["unanswered"] and step.partner is not None
    step.unanswered = found["unanswered"]
    if not hangs_on_partner:
        step.failed = found["failed"]


def fact(step: Step) -> Fact:
    return Fact(*(getattr(step, name) for name in Fact._fields))


def new_fact(columns: Mapping[str, Any]) -> Fact:
    """Of a step that has no row yet."""
    return Fact(0, *_told_by(columns))


class Follower:
    """Takes note of steps while they are written, and brings the outline up to them at the end.

    Nobody keeps a run's steps in memory: what a step was before it changed is told to `turn`.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.turned: list[tuple[Fact, Fact]] = []
        self.added: list[Fact] = []
        self.is_rearranged = False  # steps moved, vanished or came back

    def turn(self, old: Fact, new: Fact) -> None:
        self.turned.append((old, new))

    def finish(self) -> Tally:
        """The run's tally as it is now."""
        kept = _kept(self.run)
        is_judged = kept.rule == outcomes.RULE if kept else not self.run.step_count
        tally = _decoder.decode(bytes(kept.body)) if kept else Tally(open_calls=0)
        if is_judged and not self.is_rearranged and self._follow(tally):
            _keep(self.run, tally)
            return tally
        return rebuild(self.run, judge=not is_judged)

    def _follow(self, tally: Tally) -> bool:
        tally.add(self.added)
        turned = self.turned
        since = self._pairs_anew_from(tally)
        if since is not None:
            turned = [*turned, *_pair(self.run, since)]
        return all(tally.turn(old, new) for old, new in turned)

    def _pairs_anew_from(self, tally: Tally) -> int | None:
        """The first position from which steps have to be paired anew; None if none has to."""
        if not tally.types[pairing.RESULT]:
            return None
        places = [fact.position for fact in self.added if fact.type == pairing.RESULT]
        places += [old.position for old, new in self.turned if _matter(old) != _matter(new)]
        return min(places, default=None)


def _matter(fact: Fact) -> tuple[object, ...]:
    """What pairing, or the partner, looks at."""
    is_result = fact.type == pairing.RESULT
    return fact.type, fact.tool_name, fact.unanswered, is_result and fact.failed


def rebuild(run: Run, judge: bool = False) -> Tally:
    """Derive all of the outline anew; with `judge`, also what the steps' own texts tell."""
    if judge:
        _judge(run)
    _pair(run, 0)
    tally = _tallied(run)
    _keep(run, tally)
    return tally


def _tallied(run: Run) -> Tally:
    tally = Tally(gone=run.steps.exclude(vanished_at=None).count(), open_calls=0)
    tally.add(_facts(run.steps.present()))
    return tally


def _keep(run: Run, tally: Tally) -> None:
    body = msgspec.msgpack.encode(tally)
    # With the run itself, so that it is the one that `_kept` finds from now on.
    direct.put(Outline(run=run, rule=outcomes.RULE, body=body), ("run_id",))


def _kept(run: Run) -> Outline | None:
    try:
        return run.outline
    except Outline.DoesNotExist:
        return None


def _facts(steps: QuerySet[Step]) -> Iterator[Fact]:
    found = steps.order_by("position").values_list(*Fact._fields)
    return map(Fact._make, direct.one_by_one(found))


def _pair(run: Run, since: int) -> list[tuple[Fact, Fact]]:
    """Pair the steps from position `since` on anew; the facts that changed, before and after."""
    steps = run.steps.present()
    # Two ranges of `sync_open_calls`: calls without an answer, and those answered by what follows.
    waiting = steps.filter(unanswered=True, partner=None, position__lt=since)
    answered = steps.filter(unanswered=True, partner__gte=since)
    following = steps.filter(Q(type__in=USES) | Q(partner__isnull=False), position__gte=since)
    found = chain.from_iterable(map(_facts, (waiting, answered, following)))
    facts = {fact.position: fact for fact in sorted(found, key=attrgetter("position"))}
    answers = pairing.pair(facts.values())
    partners = answers | {result: call for call, result in answers.items()}
    changed = []
    for fact in facts.values():
        partner = partners.get(fact.position)
        failed = fact.failed
        if fact.unanswered:
            failed = partner is not None and facts[partner].failed
        if (partner, failed) != (fact.partner, fact.failed):
            changed.append((fact, fact._replace(partner=partner, failed=failed)))
    steps_now = [Step(pk=new.pk, partner=new.partner, failed=new.failed) for _, new in changed]
    bulk.update(Step, steps_now, ("partner", "failed"))
    return changed


def _judge(run: Run) -> None:
    names = ("pk", "type", "tool_name", *MARKS)
    output = Left("tool_output", outcomes.PREFIX + 1)
    steps = run.steps.order_by("pk").values(*names, start=output)
    for some in batched(direct.one_by_one(steps), BATCH):
        judged = [(row, marks(row | {"tool_output": row["start"]})) for row in some]
        wrong = [
            Step(pk=row["pk"], **found)
            for row, found in judged
            if any(row[name] != value for name, value in found.items())
        ]
        bulk.update(Step, wrong, MARKS)
