"""A backup holds one moment, and going back to it brings nobody back in."""

import io
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from dashboard import sharing
from dashboard.audit import chain
from dashboard.backups import container, postgresql
from dashboard.backups.container import Reader
from dashboard.models import SharingSwitch
from runs import poller
from runs.models import Discovery, Run, Step, UsageEntry
from tests.conftest import account
from tests.dashboard.links import share
from tests.factories import make_run, make_steps
from tests.restoring import backup, opens, restore

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Any) -> Iterator[None]:
    settings.DATA_DIR = tmp_path
    yield
    poller.rest()


def lose_database() -> None:
    """As after the loss of a disk: nothing is there, not even a table."""
    if connection.vendor == "postgresql":
        with transaction.atomic():
            postgresql.drop()
        return
    connection.close()
    for ending in ("", "-wal", "-shm"):
        Path(f"{connection.settings_dict['NAME']}{ending}").unlink(missing_ok=True)


def test_a_backup_is_one_whole_file_for_its_owner_alone(tmp_path: Path) -> None:
    make_steps(make_run(), 3)
    target = tmp_path / "folder" / "one.backup"
    reader = backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert reader.manifest.vendor == connection.vendor
    assert reader.manifest.tables["runs_step"].rows == 3
    assert reader.manifest.audit_head == chain.token(chain.verify())
    reader.check()
    before = target.read_bytes()
    with pytest.raises(CommandError, match="is not written over"):
        call_command("backup", to=str(target))
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["one.backup"]


def test_onto_nothing_every_link_is_closed_unless_it_is_asked_otherwise(tmp_path: Path) -> None:
    mira = account("mira", "member")
    run = make_run("completed")
    make_steps(run, 2)
    token = share(run, mira)
    source = tmp_path / "one.backup"
    backup(source)
    before = snapshot()
    lose_database()
    assert "all of them are closed (1 closed)" in restore(source)
    assert not opens(token)
    assert snapshot() == before
    if connection.vendor == "postgresql":
        with transaction.atomic():
            postgresql.empty()
    else:
        lose_database()
    assert "as was asked for" in restore(source, keep_links=True)
    assert opens(token)
    fresh = make_run("queued")  # numbers go on where they were
    assert fresh.pk > run.pk
    assert account("nora", "viewer").pk > mira.pk


def snapshot() -> list[Any]:
    return [
        list(model._default_manager.order_by("pk").values_list(*columns))
        for model, columns in (
            (Run, ("pk", "run_id", "status", "prompt", "cost_micros", "issues", "created_at")),
            (Step, ("pk", "run_id", "position", "tool_input", "timestamp")),
            (UsageEntry, ("pk", "run_id", "cost_micros")),
            (User, ("pk", "username", "password")),
        )
    ]


def test_without_asking_nothing_is_replaced(tmp_path: Path) -> None:
    make_run(run_id="run_before")
    source = tmp_path / "one.backup"
    backup(source)
    make_run(run_id="run_since")
    with pytest.raises(CommandError, match="--replace"):
        restore(source)
    assert Run.objects.filter(run_id="run_since").exists()


@pytest.mark.parametrize("damage", ["cut", "bits", "no zip", "other", "newer", "missing"])
def test_what_is_not_a_whole_backup_of_ours_changes_nothing(tmp_path: Path, damage: str) -> None:
    make_run(run_id="run_kept")
    source = tmp_path / "one.backup"
    backup(source)
    whole = source.read_bytes()
    if damage == "cut":
        source.write_bytes(whole[: len(whole) // 2])
    elif damage == "no zip":
        source.write_bytes(b"SQLite format 3\0 and no more")
    elif damage == "missing":
        source.unlink()
    else:
        rewritten(source, damage)
    with pytest.raises(CommandError):
        restore(source, replace=True)
    assert Run.objects.filter(run_id="run_kept").exists()
    assert [*tmp_path.glob("replaced-*")] == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def rewritten(source: Path, damage: str) -> None:
    """The archive with a part or its manifest changed."""
    with zipfile.ZipFile(source) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    if damage == "bits":
        name = max(parts, key=lambda name: len(parts[name]))
        middle = len(parts[name]) // 2
        flipped = bytes([parts[name][middle] ^ 1])
        parts[name] = parts[name][:middle] + flipped + parts[name][middle + 1 :]
    word = {"other": ('"vendor"', "oracle"), "newer": ('"0001_record"', "9999_from_the_future")}
    if damage in word:
        manifest = parts[container.MANIFEST].decode()
        if damage == "other":
            manifest = manifest.replace(connection.vendor, word[damage][1], 1)
        else:
            manifest = manifest.replace(word[damage][0], f'"{word[damage][1]}"', 1)
        parts[container.MANIFEST] = manifest.encode()
    with zipfile.ZipFile(source, "w") as new:
        for name, body in parts.items():
            new.writestr(name, body)


def test_a_backup_made_while_others_write_is_of_one_moment(tmp_path: Path) -> None:
    """Each writer adds a run and its steps in one transaction: no backup holds half of one."""
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        try:
            while not stop.is_set():
                with transaction.atomic():
                    make_steps(make_run("completed"), 5)
                written.append(1)
        finally:
            connection.close()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for thread in writers:
        thread.start()
    try:
        for number in range(2):
            manifest = backup(tmp_path / f"{number}.backup").manifest
            assert manifest.tables["runs_step"].rows == 5 * manifest.tables["runs_run"].rows
    finally:
        stop.set()
        for thread in writers:
            thread.join(30)
    assert written
    restore(tmp_path / "1.backup", replace=True)
    assert Step.objects.count() == 5 * Run.objects.count() > 0


def test_rights_that_were_lost_since_stay_lost(tmp_path: Path) -> None:
    gone, moved, off = account("gone", "admin"), account("moved", "admin"), account("off", "member")
    source = tmp_path / "one.backup"
    token = share(make_run("completed"), moved)
    backup(source)
    gone.delete()
    moved.groups.clear()
    User.objects.filter(pk=off.pk).update(is_active=False)
    sharing.turn_switch(True, off)
    restore(source, replace=True)
    assert not User.objects.get(username="gone").is_active
    assert not User.objects.get(username="moved").groups.exists()
    assert not User.objects.get(username="off").is_active
    assert SharingSwitch.objects.get().is_closed
    assert not opens(token)
    assert Discovery.objects.filter(walked_at__isnull=False).count() == 0


def test_a_backup_goes_to_standard_output_too(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    make_run()
    call_command("backup", to="-", stderr=io.StringIO())
    target = tmp_path / "piped.backup"
    target.write_bytes(capfdbinary.readouterr().out)
    Reader(target).check()
    said = io.StringIO()
    call_command("restore", str(target), check=True, stdout=said)
    assert said.getvalue().startswith("Whole: ")
