"""Steps and usage entries: from the lists of an answer to their rows.

A fingerprint of each few items as they were last stored is kept, so that the items of a long run
that did not change are neither decoded nor read from the database.
"""

import datetime as dt
import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import batched, starmap
from typing import Any, cast

import msgspec
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, QuerySet
from msgspec import Raw, UnsetType

from runs import bulk, columns, direct, fingerprints, outlines, text
from runs.alignment import Alignment, Item, Stored, align
from runs.casedev.payloads import NOT_UTF8, EntryPayload, Notes, StepPayload, read_part
from runs.models import Fingerprint, Revision, Run, Step, UsageEntry
from runs.tally import Tally

BATCH = 500
FEW = 500  # up to this many rows are looked up by position, more by reading them all
ASIDE = 1_000_000_000  # added to positions while rows change places
NULL = "null"  # JSON text

type Row = Step | UsageEntry


class Track(msgspec.Struct, frozen=True):
    """What differs between steps and entries."""

    model: type[Row]
    of: str
    path: str
    identifier: str  # the column of the API's id
    mark: tuple[str, ...]  # columns that an item keeps for life
    json: tuple[str, ...]  # columns that hold JSON text
    rising: tuple[str, ...]  # numbers that rise while something goes on
    fingerprint: str  # the field of Fingerprint
    read: Callable[[bytes | Raw, str, Notes], columns.Columns]


def _read_step(raw: bytes | Raw, path: str, notes: Notes) -> columns.Columns:
    return columns.of_step(read_part(raw, StepPayload, path, notes), path, notes)


def _read_entry(raw: bytes | Raw, path: str, notes: Notes) -> columns.Columns:
    return columns.of_entry(read_part(raw, EntryPayload, path, notes), path, notes)


STEPS = Track(
    model=Step,
    of=Revision.Of.STEP,
    path="steps",
    identifier="step_id",
    mark=("type", "tool_name", "timestamp"),
    json=("tool_input", "tool_output"),
    rising=("duration_ms",),
    fingerprint="steps",
    read=_read_step,
)
ENTRIES = Track(
    model=UsageEntry,
    of=Revision.Of.ENTRY,
    path="usage.entries",
    identifier="entry_id",
    mark=("kind", "service", "timestamp"),
    json=("metadata",),
    rising=(),
    fingerprint="entries",
    read=_read_entry,
)

type Raws = list[Raw] | UnsetType | None


def sync_steps(
    run: Run, raws: Raws, kept: Fingerprint, version: int, now: dt.datetime, notes: Notes
) -> Tally | None:
    """Bring the steps of `run` up to `raws`; what they add up to, or None if no row changed.
    Absent or null: no word on steps, so none is touched."""
    if not isinstance(raws, list):
        _note_silence(STEPS, run.step_count, notes)
        return None
    follower = outlines.Follower(run)
    is_changed = _Sync(STEPS, run, raws, kept, version, now, notes, follower).go()
    return follower.finish() if is_changed else None


def sync_entries(
    run: Run, raws: Raws, kept: Fingerprint, version: int, now: dt.datetime, notes: Notes
) -> bool:
    """The same for `usage.entries`; whether any row changed. An empty list that comes first is a
    change: "none" instead of "not reported"."""
    if not isinstance(raws, list):
        _note_silence(ENTRIES, run.entry_count, notes)
        return False
    is_first_word = run.entry_count is None
    return _Sync(ENTRIES, run, raws, kept, version, now, notes).go() or is_first_word


def _note_silence(track: Track, count: int | None, notes: Notes) -> None:
    if count:
        notes.append(f"{track.path} is no longer reported; the last ones are shown.")


def is_gain(old: Any, new: Any) -> bool:
    """Whether `new` only adds to `old`: something where there was nothing, or more text."""
    if old is None or old == "":
        return True
    return isinstance(old, str) and isinstance(new, str) and new.startswith(old)


def _is_json_gain(old: str | None, new: str | None) -> bool:
    """The same for JSON text: null counts as nothing, and a string grows inside its quotes."""
    if old is None or old == NULL:
        return True
    is_string = old.startswith('"') and new is not None and new.startswith('"')
    return is_string and is_gain(old[:-1], new)


class _Sync:
    """One list of one answer on its way into rows."""

    def __init__(
        self,
        track: Track,
        run: Run,
        raws: list[Raw],
        kept: Fingerprint,
        version: int,
        now: dt.datetime,
        notes: Notes,
        follower: outlines.Follower | None = None,
    ) -> None:
        self.follower = follower  # of the steps alone
        self.track, self.run, self.raws, self.kept = track, run, raws, kept
        self.version, self.now, self.notes = version, now, notes

    @property
    def rows(self) -> QuerySet[Row]:
        return cast("QuerySet[Row]", self.track.model._default_manager.filter(run=self.run))

    def go(self) -> bool:
        fresh = fingerprints.of_items(self.raws)
        stored = bytes(getattr(self.kept, self.track.fingerprint))
        if fresh == stored:
            return False
        setattr(self.kept, self.track.fingerprint, fresh)
        count = fingerprints.count(stored)
        is_unknown = not stored and self.run.version > 0
        if is_unknown or len(self.raws) < count:
            return self._realign()
        return self._extend(fingerprints.differing(stored, fresh, self.raws), count)

    def _extend(self, differing: list[int], count: int) -> bool:
        """The list kept its items and maybe got more: the common case."""
        added = range(count + 1, len(self.raws) + 1)
        sent = {place: self._columns(place) for place in differing}
        rows = self._present_at(differing)
        is_extended = len(rows) == len(differing) and all(
            self._is_same(row, sent[place]) for place, row in rows.items()
        )
        if not is_extended or self._come_back(added):
            return self._realign()
        changed = self._update([(row, sent[place]) for place, row in rows.items()])
        return self._insert((place, self._columns(place)) for place in added) or changed

    def _is_same(self, row: Row, sent: columns.Columns) -> bool:
        """Whether `sent` is `row` some time later, so that nothing has to be matched anew."""
        old, new = self._identifier(row), sent[self.track.identifier]
        return old == new if old and new else self._mark_of(row) == self._sent_mark(sent)

    def _come_back(self, added: Sequence[int]) -> bool:
        """Whether what is said at one of the places `added` may be a row that has vanished."""
        if not added or not direct.has_gone(self.track.model, self.run.pk):
            return False
        wanted = (self.track.identifier, *self.track.mark)
        gone = list(self.rows.exclude(vanished_at=None).only("pk", *wanted))
        if not gone:
            return False
        identifiers = {self._identifier(row) for row in gone} - {None}
        marks = {self._mark_of(row) for row in gone}
        return any(
            sent[self.track.identifier] in identifiers or self._sent_mark(sent) in marks
            for sent in map(self._columns, added)
        )

    def _realign(self) -> bool:
        """Items vanished, moved, came back or changed their ids: match all of them anew."""
        sent = {place: self._columns(place) for place in range(1, len(self.raws) + 1)}
        rows = {row.pk: row for row in self.rows}
        outcome = align(
            [self._as_stored(row) for row in rows.values()],
            [self._as_item(sent[place]) for place in sorted(sent)],
        )
        arranged = self._arrange(outcome, rows)
        changed = self._update([(rows[pk], sent[place]) for place, pk in outcome.matched.items()])
        added = self._insert((place, sent[place]) for place in outcome.new)
        return any((arranged, changed, added))

    def _arrange(self, outcome: Alignment, rows: dict[int, Row]) -> bool:
        """Mark what vanished, and bring all others to the places of the new list."""
        if outcome.vanished:
            self.notes.append(f"{len(outcome.vanished)} of {self.track.path} vanished upstream.")
            self._set(outcome.vanished, vanished_at=self.now, changed_version=self.version)
        matched = [(place, rows[pk]) for place, pk in outcome.matched.items()]
        moved = [(place, row) for place, row in matched if row.position != place or row.vanished_at]
        # Out of the way first: no two rows may hold one place, not even for a moment.
        present = [row.pk for _, row in moved if row.vanished_at is None]
        self._set(present, position=F("position") + ASIDE)
        for place, row in moved:
            row.position, row.vanished_at, row.changed_version = place, None, self.version
        fields = ["position", "vanished_at", "changed_version"]
        bulk.update(self.track.model, [row for _, row in moved], fields)
        if self.follower and (outcome.vanished or moved):
            self.follower.is_rearranged = True
        return bool(outcome.vanished or moved)

    def _set(self, pks: list[int], **values: Any) -> None:
        for batch in batched(pks, BATCH):
            self.rows.filter(pk__in=batch).update(**values)

    def _update(self, pairs: Sequence[tuple[Row, columns.Columns]]) -> bool:
        """Write what differs; keep a revision of what was more than nothing before."""
        touched: list[Row] = []
        revisions: list[Revision] = []
        for row, sent in pairs:
            settled = self._settled(row, sent)
            old = {name: getattr(row, name) for name in sent if getattr(row, name) != settled[name]}
            if not old:
                continue
            if not all(self._is_gain(name, value, settled[name]) for name, value in old.items()):
                revisions.append(self._revision(row, sent))
            before = outlines.fact(row) if isinstance(row, Step) else None
            for name in old:
                setattr(row, name, settled[name])
            row.changed_version = self.version
            touched.append(row)
            if self.follower and isinstance(row, Step) and before:
                outlines.mark(row)
                self.follower.turn(before, outlines.fact(row))
        Revision.objects.bulk_create(revisions, batch_size=BATCH)
        if touched:
            marks = outlines.MARKS if self.follower else ()
            names = [*pairs[0][1], *marks, "changed_version"]
            bulk.update(self.track.model, touched, names, are_long=True)
        return bool(touched)

    def _settled(self, row: Row, sent: columns.Columns) -> columns.Columns:
        """`sent`, but what is no longer said of the same item stays as it was."""
        if not self._is_same(row, sent):
            return sent
        kept = {
            name: getattr(row, name)
            for name, value in sent.items()
            if self._is_nothing(name, value) and not self._is_nothing(name, getattr(row, name))
        }
        for name in kept:
            path = f"{self.track.path}[{row.position}].{columns.key_of(name)}"
            self.notes.append(f"{path} is no longer reported; the last value is shown.")
        return sent | kept

    def _is_nothing(self, name: str, value: Any) -> bool:
        nothing = {self.track.mark[0]: ""} | dict.fromkeys(self.track.json, NULL)
        return value is None or value == nothing.get(name)

    def _is_gain(self, name: str, old: Any, new: Any) -> bool:
        if name in self.track.json:
            return _is_json_gain(old, new)
        if name in self.track.rising and old is not None and new is not None:
            return bool(new >= old)
        return is_gain(old, new)

    def _insert(self, sent: Iterable[tuple[int, columns.Columns]]) -> bool:
        """Insert what is said at places where there was nothing."""
        return bulk.insert(self.track.model, starmap(self._new_row, sent)) > 0

    def _new_row(self, place: int, sent: columns.Columns) -> columns.Columns:
        row = sent | {
            "run_id": self.run.pk,
            "position": place,
            "changed_version": self.version,
            "vanished_at": None,
        }
        if self.follower:
            row |= {**outlines.marks(row), "partner": None}
            self.follower.added.append(outlines.new_fact(row))
        return row

    def _present_at(self, places: list[int]) -> dict[int, Row]:
        if not places:
            return {}
        rows = self.rows.filter(vanished_at=None)
        if len(places) <= FEW:
            rows = rows.filter(position__in=places)
        wanted = set(places)
        return {row.position: row for row in rows if row.position in wanted}

    def _columns(self, place: int) -> columns.Columns:
        raw, path = self.raws[place - 1], f"{self.track.path}[{place}]"
        try:
            return self.track.read(raw, path, self.notes)
        except (UnicodeDecodeError, msgspec.DecodeError):
            # The answer as a whole was not looked through for what is no UTF-8.
            self.notes.append(NOT_UTF8)
            return self.track.read(text.mended(text.utf8(bytes(raw))), path, self.notes)

    def _identifier(self, row: Row) -> str | None:
        return cast("str | None", getattr(row, self.track.identifier))

    def _mark_of(self, row: Row) -> Hashable:
        return tuple(getattr(row, name) for name in self.track.mark)

    def _sent_mark(self, sent: columns.Columns) -> Hashable:
        return tuple(sent[name] for name in self.track.mark)

    def _as_stored(self, row: Row) -> Stored:
        is_gone = row.vanished_at is not None
        return Stored(row.pk, row.position, self._identifier(row), self._mark_of(row), is_gone)

    def _as_item(self, sent: columns.Columns) -> Item:
        return Item(sent[self.track.identifier], self._sent_mark(sent))

    def _revision(self, row: Row, sent: columns.Columns) -> Revision:
        body = {name: getattr(row, name) for name in sent}
        return Revision(
            run=self.run,
            of=self.track.of,
            position=row.position,
            replaced_version=self.version,
            replaced_at=self.now,
            body=json.dumps(body, cls=DjangoJSONEncoder, ensure_ascii=False),
        )
