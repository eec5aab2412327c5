"""Making a backup, and going back to one: what both databases have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from dashboard.audit import chain
from dashboard.audit.models import AuditHead
from dashboard.backups import aftermath, carry, container, postgresql, sqlite
from dashboard.backups.container import Manifest, Reader, Refused, Table, Writer


class Outcome(NamedTuple):
    manifest: Manifest
    how: aftermath.Settled
    closed: int
    replaced: Path | None  # the backup that was made of what was there before, beside the other


def default_target() -> str:
    return str(settings.DATA_DIR / "backups" / _stamped("runsheet"))


def _stamped(prefix: str) -> str:
    return f"{prefix}-{timezone.now():%Y%m%d-%H%M%S-%f}.backup"


def back_up(target: str) -> Manifest:
    """Write the whole database to the new file `target` ("-": standard output). Raises Refused
    and django.db.DatabaseError."""
    with container.made(target) as file:
        writer = Writer(file)
        if connection.vendor == "postgresql":
            with postgresql.snapshot():
                manifest = _manifest(postgresql.tables())
                postgresql.write(writer, manifest.tables)
        else:
            scratch = settings.DATA_DIR if target == "-" else Path(target).parent
            manifest = _of_sqlite(writer, scratch)
        writer.finish(manifest)
    return manifest


def _of_sqlite(writer: Writer, scratch: Path) -> Manifest:
    """Data and manifest of the very same copy."""
    with sqlite.copied(scratch) as copy:
        manifest = _manifest(sqlite.tables())
        writer.add(sqlite.PART, sqlite.pieces(copy))
    return manifest


def _manifest(tables: dict[str, Table]) -> Manifest:
    head = AuditHead.objects.get(pk=AuditHead.SOLE)
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return Manifest(
        format=container.FORMAT,
        version=settings.VERSION,
        vendor=connection.vendor,
        is_simulated=settings.CASEDEV_IS_SIMULATED,
        made_at=timezone.now().isoformat(timespec="seconds"),
        migrations=applied,
        audit_head=chain.token(head),
        tables=tables,
    )


def checked(path: Path) -> Reader:
    """An archive that is whole, and that this installation could use. Raises Refused."""
    reader = Reader(path)
    reader.check()
    manifest = reader.manifest
    if manifest.vendor != connection.vendor:
        raise Refused(
            f"{path} is of {manifest.vendor}, and this installation uses {connection.vendor}."
        )
    if manifest.is_simulated != settings.CASEDEV_IS_SIMULATED:
        raise Refused("Simulated and real runs never share a database.")
    known = _known()
    if unknown := [
        f"{app}.{name}"
        for app, names in manifest.migrations.items()
        for name in names
        if (app, name) not in known
    ]:
        raise Refused(f"It was made by a newer Runsheet, which knows {unknown[0]}: upgrade first.")
    return reader


def restore(path: Path, *, replace: bool, keep_links: bool) -> Outcome:
    """Put what `path` holds in the place of the database. Raises Refused, having changed
    nothing; so does any other error."""
    reader = checked(path)
    is_empty = carry.is_empty()
    if not is_empty and not replace:
        raise Refused("The database is not empty; --replace puts the backup in its place.")
    if connection.vendor == "postgresql" and (count := postgresql.others()):
        raise Refused(
            f"{count} other connections use the database: stop web, worker and beat first."
        )
    carried = None if is_empty else carry.read()
    replaced = None if is_empty else path.resolve().parent / _stamped("replaced")
    if replaced:
        back_up(str(replaced))
    try:
        how, closed = _settled(reader, carried, keep_links=keep_links)
    except Refused:
        if replaced:
            replaced.unlink(missing_ok=True)  # nothing was replaced
        raise
    return Outcome(reader.manifest, how, closed, replaced)


def _settled(
    reader: Reader, carried: carry.Carried | None, *, keep_links: bool
) -> tuple[aftermath.Settled, int]:
    """Put what `reader` holds in place; what is known of its links, and how many were closed."""
    with _restored(reader):
        _check_log(reader.manifest)
        _catch_up(reader.manifest)
        with transaction.atomic():
            return aftermath.settle(carried, reader.manifest.made_at, keep_links=keep_links)


def _catch_up(manifest: Manifest) -> None:
    """The migrations that have come since the backup was made."""
    applied = {(app, name) for app, names in manifest.migrations.items() for name in names}
    if set(_known()) - applied:
        call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)


@cache
def _known() -> frozenset[tuple[str, str]]:
    """Of this version; reading all of them takes a while."""
    return frozenset(MigrationLoader(None).disk_migrations)


@contextmanager
def _restored(reader: Reader) -> Iterator[None]:
    vendor = postgresql if connection.vendor == "postgresql" else sqlite
    with vendor.restored(reader):
        yield


def _check_log(manifest: Manifest) -> None:
    """Row after row, up to the head that the manifest names."""
    try:
        head = chain.verify(manifest.audit_head if not manifest.audit_head.startswith("0:") else "")
    except chain.Broken as error:
        raise Refused(f"Its audit log is broken: {error}") from error
    if chain.token(head) != manifest.audit_head:
        raise Refused("Its audit log does not end where the backup says.")
