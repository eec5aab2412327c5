"""Notes and labels: written, taken back, put on one run or on all that a list shows.

The audit log tells who wrote where and who was mentioned, and never what was written.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard import filters
from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.notes.models import Label, Mention, Note, RunLabel, StepLabel
from dashboard.notices import events
from runs.models import Run

LONGEST = 4_000  # characters of a note
MOST_MENTIONED = 20
AT_ONCE = 500  # runs labelled in one statement
_NAMED = re.compile(r"(?<![\w@.+-])@([\w.+-]{1,150})")


def write(run: Run, author: User, text: str, position: int | None = None) -> Note:
    """A note on `run`, or on its step at `position`; whoever is mentioned will be told."""
    with transaction.atomic():
        note = Note.objects.create(
            run=run,
            position=position,
            author=author,
            text=text.strip(),
            created_at=timezone.now(),
        )
        named = [person for person in mentioned(text) if person != author]
        Mention.objects.bulk_create(Mention(note=note, user=person) for person in named)
        events.mentioned(note, named)
        told = ", ".join(f"mentions {person.get_username()}" for person in named)
        acts.record(Act.NOTE, run=run.run_id, page=_place(note), detail=told, by=author)
    return note


def mentioned(text: str) -> list[User]:
    """Who is named by @ and may see runs. A full stop behind a name ends the sentence."""
    names = {name.rstrip(".-+") for name in _NAMED.findall(text)}
    people = User.objects.filter(username__in=names, is_active=True).order_by("username")
    return [one for one in people[:MOST_MENTIONED] if one.has_perm("runs.view_run")]


def take_back(note: Note, by: User) -> bool:
    """Its words are gone for good; that there was a note stays. False if it was gone before."""
    with transaction.atomic():
        rows = Note.objects.filter(pk=note.pk, removed_at=None)
        if not rows.update(text="", removed_at=timezone.now()):
            return False
        Mention.objects.filter(note=note).delete()
        events.taken_back(note)
        acts.record(Act.NOTE, run=note.run.run_id, page=_place(note), detail="taken back", by=by)
    return True


def _place(note: Note) -> str:
    return "note" if note.position is None else f"note on step {note.position}"


# Labels --------------------------------------------------------------------------------------


def clean_name(name: str) -> str:
    """On one line; a label is the same in any case."""
    return " ".join(name.split())


def label_named(name: str) -> Label:
    found = Label.objects.filter(name__iexact=clean_name(name)).first()
    return found or Label.objects.create(name=clean_name(name))


def put(run: Run, name: str, by: User, position: int | None = None) -> None:
    """On the run, or on its step at `position`."""
    with transaction.atomic():
        label = label_named(name)
        if position is None:
            is_new = bool(_put([run.pk], label, by, timezone.now()))
        else:
            _, is_new = StepLabel.objects.get_or_create(
                run=run,
                position=position,
                label=label,
                defaults={"by": by, "at": timezone.now()},
            )
        if is_new:
            told = f"“{label.name}”{_on(position)}"
            acts.record(Act.LABEL, run=run.run_id, detail=told, by=by)


def take_off(run: Run, name: str, by: User, position: int | None = None) -> None:
    with transaction.atomic():
        named = {"run": run, "label__name__iexact": clean_name(name)}
        if position is None:
            count = RunLabel.objects.filter(**named).delete()[0]
        else:
            count = StepLabel.objects.filter(position=position, **named).delete()[0]
        if count:
            told = f"“{clean_name(name)}”{_on(position)} taken off"
            acts.record(Act.LABEL, run=run.run_id, detail=told, by=by)


def _on(position: int | None) -> str:
    return "" if position is None else f" on step {position}"


def put_on_all(asked: filters.Asked, name: str, by: User) -> int:
    """On every run that the list shows for `asked`; on how many it was not yet. All or nothing."""
    now = timezone.now()
    with transaction.atomic():
        label = label_named(name)
        count = sum(_put(keys, label, by, now) for keys in _matching(asked, now))
        told = f"“{label.name}” on {count} runs: {asked.query() or 'all'}"
        acts.record(Act.LABEL, page="label", detail=told, by=by)
    return count


def _matching(asked: filters.Asked, now: dt.datetime) -> Iterator[list[int]]:
    asked.after = None
    while True:
        found = filters.matching(asked)
        page = filters.page(found, lambda runs: runs.only("pk"), asked, AT_ONCE, now)
        yield [run.pk for run in page.runs]
        if page.next is None:
            return
        asked.after = page.next


def _put(runs: Iterable[int], label: Label, by: User, now: dt.datetime) -> int:
    runs = list(runs)
    had = RunLabel.objects.filter(label=label, run__in=runs).values_list("run_id", flat=True)
    new = set(runs) - set(had)
    RunLabel.objects.bulk_create(
        (RunLabel(run_id=run, label=label, by=by, at=now) for run in sorted(new)),
        ignore_conflicts=True,
    )
    return len(new)
