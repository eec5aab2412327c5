"""The file of a backup: a zip archive of the data and, last, `manifest.json`.

Whoever reads it gets all that the database holds, so it is made with mode 0600, and never over
another file. It is not encrypted: `--to -` writes it to a program that does so.
"""

import hashlib
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

FORMAT = 1
MANIFEST = "manifest.json"
CHUNK = 1024 * 1024


class Refused(Exception):
    """Why nothing was done; the message is for people."""


class Part(msgspec.Struct):
    sha256: str
    size: int


class Table(msgspec.Struct):
    rows: int
    columns: list[str] = []


class Manifest(msgspec.Struct):
    """`migrations` by app, those that were applied. `audit_head`: `chain.token` of the log."""

    format: int
    version: str
    vendor: str
    is_simulated: bool
    made_at: str
    migrations: dict[str, list[str]]
    audit_head: str
    tables: dict[str, Table]
    parts: dict[str, Part] = {}


class Writer:
    """Adds parts to an archive; `finish` writes the manifest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self.parts: dict[str, Part] = {}

    def add(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        sha256, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece)
                sha256.update(piece)
                size += len(piece)
        self.parts[name] = Part(sha256.hexdigest(), size)

    def finish(self, manifest: Manifest) -> None:
        manifest.parts = self.parts
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.close()


class Reader:
    """An archive whose every part has been read once and is as it was written."""

    def __init__(self, path: Path) -> None:
        """Raises Refused."""
        try:
            self._zip = zipfile.ZipFile(path)
            raw = self._zip.read(MANIFEST)
            self.manifest = msgspec.json.decode(raw, type=Manifest)
        except (OSError, zipfile.BadZipFile, KeyError, msgspec.MsgspecError) as error:
            reason = getattr(error, "strerror", None) or "it is no backup, or not a whole one"
            raise Refused(f"{path} cannot be read: {reason}.") from error
        if self.manifest.format != FORMAT:
            raise Refused(f"{path} is of format {self.manifest.format}; this Runsheet reads 1.")

    def check(self) -> None:
        """Raises Refused for a part that is missing or not as it was written."""
        for name, part in self.manifest.parts.items():
            sha256 = hashlib.sha256()
            try:
                for piece in self.pieces(name):
                    sha256.update(piece)
            except (KeyError, OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
                raise Refused(f"Its part {name} cannot be read.") from error
            if sha256.hexdigest() != part.sha256:
                raise Refused(f"Its part {name} is not as it was written.")

    def pieces(self, name: str) -> Iterator[bytes]:
        with self._zip.open(name) as member:
            while piece := member.read(CHUNK):
                yield piece

    def close(self) -> None:
        self._zip.close()


@contextmanager
def made(target: str) -> Iterator[IO[bytes]]:
    """A new file at `target`, gone again if the block fails; "-" is standard output."""
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} exists, and is not written over.") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def described(manifest: Manifest) -> str:
    runs = manifest.tables.get("runs_run", Table(0)).rows
    return (
        f"{manifest.vendor}, Runsheet {manifest.version}, made {manifest.made_at}, "
        f"{runs:,} runs, audit log {manifest.audit_head}"
    )
