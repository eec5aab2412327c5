"""Steps and usage entries: from the lists of an answer to their rows.

A digest of each item as it was last stored is kept beside the payload, so that the items of a
long run that did not change are neither decoded nor read from the database.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F
from msgspec import Raw, UnsetType

from runs import columns
from runs.alignment import Alignment, Item, Stored, align
from runs.casedev.payloads import EntryPayload, Notes, StepPayload, read_part
from runs.models import Payload, Revision, Run, Step, UsageEntry

DIGEST_BYTES = 8
BATCH = 500
FEW = 500  # up to this many rows are looked up by position, more by reading them all
ASIDE = 1_000_000_000  # added to positions while rows change places

type Row = Step | UsageEntry


class Track(msgspec.Struct, frozen=True):
    """What differs between steps and entries."""

    model: type[Row]
    of: str
    path: str
    identifier: str  # the column of the API's id
    mark: tuple[str, ...]  # columns that an item keeps for life
    digests: str  # the field of Payload
    read: Callable[[Raw, str, Notes], columns.Columns]


def _read_step(raw: Raw, path: str, notes: Notes) -> columns.Columns:
    return columns.of_step(read_part(raw, StepPayload, path, notes), path, notes)


def _read_entry(raw: Raw, path: str, notes: Notes) -> columns.Columns:
    return columns.of_entry(read_part(raw, EntryPayload, path, notes), path, notes)


STEPS = Track(
    model=Step,
    of=Revision.Of.STEP,
    path="steps",
    identifier="step_id",
    mark=("type", "tool_name", "timestamp"),
    digests="step_digests",
    read=_read_step,
)
ENTRIES = Track(
    model=UsageEntry,
    of=Revision.Of.ENTRY,
    path="usage.entries",
    identifier="entry_id",
    mark=("kind", "service", "timestamp"),
    digests="entry_digests",
    read=_read_entry,
)

type Raws = list[Raw] | UnsetType | None


def sync_steps(
    run: Run, raws: Raws, payload: Payload, version: int, now: dt.datetime, notes: Notes
) -> bool:
    """Bring the steps of `run` up to `raws`; whether any row changed. Absent or null: no word
    on steps, so none is touched."""
    return isinstance(raws, list) and _Sync(STEPS, run, raws, payload, version, now, notes).go()


def sync_entries(
    run: Run, raws: Raws, payload: Payload, version: int, now: dt.datetime, notes: Notes
) -> bool:
    """The same for `usage.entries`. An empty list that comes first is a change: "none" instead
    of "not reported"."""
    if not isinstance(raws, list):
        return False
    is_first_word = run.entry_count is None
    return _Sync(ENTRIES, run, raws, payload, version, now, notes).go() or is_first_word


def is_gain(old: Any, new: Any) -> bool:
    """Whether `new` only adds to `old`: something where there was nothing, or more text."""
    if old is None or old in ("", "null"):
        return True
    return isinstance(old, str) and isinstance(new, str) and new.startswith(old)


class _Sync:
    """One list of one answer on its way into rows."""

    def __init__(
        self,
        track: Track,
        run: Run,
        raws: list[Raw],
        payload: Payload,
        version: int,
        now: dt.datetime,
        notes: Notes,
    ) -> None:
        self.track, self.run, self.raws, self.payload = track, run, raws, payload
        self.version, self.now, self.notes = version, now, notes
        self.rows = track.model._default_manager.filter(run=run)

    def go(self) -> bool:
        fresh = _digests(self.raws)
        stored = bytes(getattr(self.payload, self.track.digests))
        if fresh == stored:
            return False
        count = len(stored) // DIGEST_BYTES
        if len(self.raws) < count or self.rows.exclude(vanished_at=None).exists():
            changed = self._realign()
        else:
            changed = self._extend(_differing(stored, fresh), count)
        setattr(self.payload, self.track.digests, fresh)
        return changed

    def _extend(self, differing: list[int], count: int) -> bool:
        """The list kept its items and maybe got more: the common case."""
        by_position = self._present_at(differing)
        sent = {position: self._columns(position) for position in differing}
        for position, row in by_position.items():
            old, new = self._identifier(row), sent[position][self.track.identifier]
            if old is not None and new is not None and old != new:
                return self._realign()
        known = [place for place in differing if place in by_position]
        added = [place for place in differing if place not in by_position]
        added += range(count + 1, len(self.raws) + 1)
        changed = self._update([(by_position[place], sent[place]) for place in known])
        return self._insert(added) or changed

    def _realign(self) -> bool:
        """Items vanished, moved, came back or changed their ids: match all of them anew."""
        sent = {place: self._columns(place) for place in range(1, len(self.raws) + 1)}
        rows = {row.pk: row for row in self.rows}
        outcome = align(
            [self._as_stored(row) for row in rows.values()],
            [self._as_item(sent[place]) for place in sorted(sent)],
        )
        vanished = self._vanish(outcome, rows)
        moved = self._move(outcome, rows)
        changed = self._update([(rows[pk], sent[place]) for place, pk in outcome.matched.items()])
        return any((vanished, moved, changed, self._insert(outcome.new)))

    def _vanish(self, outcome: Alignment, rows: dict[int, Row]) -> bool:
        back = [pk for pk in outcome.matched.values() if rows[pk].vanished_at is not None]
        if outcome.vanished:
            self.notes.append(f"{len(outcome.vanished)} of {self.track.path} vanished upstream.")
            self.rows.filter(pk__in=outcome.vanished).update(
                vanished_at=self.now, changed_version=self.version
            )
        if back:
            # Out of the way first: another row may still hold the place they come back to.
            self.rows.filter(pk__in=back).update(
                vanished_at=None, position=F("position") + ASIDE, changed_version=self.version
            )
            for pk in back:
                rows[pk].position += ASIDE
        return bool(outcome.vanished or back)

    def _move(self, outcome: Alignment, rows: dict[int, Row]) -> bool:
        moved = [rows[pk] for place, pk in outcome.matched.items() if rows[pk].position != place]
        if not moved:
            return False
        at_home = [row.pk for row in moved if row.position < ASIDE]
        self.rows.filter(pk__in=at_home).update(position=F("position") + ASIDE)
        place_of = {pk: place for place, pk in outcome.matched.items()}
        for row in moved:
            row.position = place_of[row.pk]
            row.changed_version = self.version
        self._bulk_update(moved, ["position", "changed_version"])
        return True

    def _update(self, pairs: Sequence[tuple[Row, columns.Columns]]) -> bool:
        """Write what differs; keep a revision of what was more than nothing before."""
        touched: list[Row] = []
        revisions: list[Revision] = []
        for row, sent in pairs:
            old = {name: getattr(row, name) for name in sent if getattr(row, name) != sent[name]}
            if not old:
                continue
            if not all(is_gain(value, sent[name]) for name, value in old.items()):
                revisions.append(self._revision(row, sent))
            for name in old:
                setattr(row, name, sent[name])
            row.changed_version = self.version
            touched.append(row)
        Revision.objects.bulk_create(revisions, batch_size=BATCH)
        if touched:
            self._bulk_update(touched, [*pairs[0][1], "changed_version"])
        return bool(touched)

    def _insert(self, places: Sequence[int]) -> bool:
        self.track.model._default_manager.bulk_create(
            [
                self.track.model(
                    run=self.run,
                    position=place,
                    changed_version=self.version,
                    **self._columns(place),
                )
                for place in places
            ],
            batch_size=BATCH,
        )
        return bool(places)

    def _present_at(self, places: list[int]) -> dict[int, Row]:
        rows = self.rows.filter(vanished_at=None)
        if len(places) <= FEW:
            rows = rows.filter(position__in=places)
        wanted = set(places)
        return {row.position: row for row in rows if row.position in wanted}

    def _columns(self, place: int) -> columns.Columns:
        return self.track.read(self.raws[place - 1], f"{self.track.path}[{place}]", self.notes)

    def _identifier(self, row: Row) -> str | None:
        return cast("str | None", getattr(row, self.track.identifier))

    def _as_stored(self, row: Row) -> Stored:
        mark = tuple(getattr(row, name) for name in self.track.mark)
        return Stored(
            row.pk, row.position, self._identifier(row), mark, row.vanished_at is not None
        )

    def _as_item(self, sent: columns.Columns) -> Item:
        return Item(sent[self.track.identifier], tuple(sent[name] for name in self.track.mark))

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

    def _bulk_update(self, rows: list[Row], fields: list[str]) -> None:
        self.track.model._default_manager.bulk_update(rows, fields, batch_size=BATCH)


def _digests(raws: list[Raw]) -> bytes:
    return b"".join(
        hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest() for raw in map(bytes, raws)
    )


def _differing(stored: bytes, fresh: bytes) -> list[int]:
    """Positions, from 1, at which both hold a digest and they differ."""
    if fresh.startswith(stored):
        return []
    common = min(len(stored), len(fresh))
    return [
        start // DIGEST_BYTES + 1
        for start in range(0, common, DIGEST_BYTES)
        if stored[start : start + DIGEST_BYTES] != fresh[start : start + DIGEST_BYTES]
    ]
