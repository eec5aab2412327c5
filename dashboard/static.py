"""Style sheets, scripts and pictures: collected under names that hold their hash, served for ever.

WhiteNoise knows the files, their encodings and their caching. Its Django middleware is left out:
it would force every request through a thread and block the event loop while it reads.

Nothing is built. Lines of comment and indentation of our own scripts and style sheets are for
whoever reads the source, and stay there.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile
from django.core.management import call_command
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile
from whitenoise.storage import CompressedManifestStaticFilesStorage

type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

# What WhiteNoise reads of a request, by the names that it knows.
ASKED = {
    b"accept-encoding": "HTTP_ACCEPT_ENCODING",
    b"if-modified-since": "HTTP_IF_MODIFIED_SINCE",
    b"if-none-match": "HTTP_IF_NONE_MATCH",
    b"range": "HTTP_RANGE",
}

# Nothing that is served here may act as a page of the site, whatever it holds.
SECURITY = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


# Whole lines only: what stands behind code on its line may be part of an address or a string.
ASIDE = {
    ".js": re.compile(r"^\s*//.*\n|^\s+", re.MULTILINE),
    ".css": re.compile(r"^\s*/\*(?:(?!\*/).)*\*/\s*$|^\s+", re.MULTILINE | re.DOTALL),
}


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Keeps our own scripts and style sheets without what only their readers need."""

    def _save(self, name: str, content: Any) -> str:
        path = Path(name)
        if path.suffix in ASIDE and path.parts[0] in ("js", "css"):
            content.seek(0)
            content = ContentFile(ASIDE[path.suffix].sub("", content.read().decode()).encode())
        saved: str = super()._save(name, content)
        return saved


def _transport() -> list[tuple[str, str]]:
    """As Django's own answers carry it."""
    seconds = settings.SECURE_HSTS_SECONDS
    return [("Strict-Transport-Security", f"max-age={seconds}; includeSubDomains")] * bool(seconds)


class StaticFiles:
    """Answers what is below STATIC_URL by itself and passes everything else on."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.table = WhiteNoiseMiddleware()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (file := self._find(scope["path"])):
            await self._answer(file, scope, send)
        else:
            await self.application(scope, receive, send)

    def _find(self, path: str) -> StaticFile | None:
        if not path.startswith(settings.STATIC_URL):
            return None
        return self.table.find_file(path) if settings.DEBUG else self.table.files.get(path)

    async def _answer(self, file: StaticFile, scope: dict[str, Any], send: Send) -> None:
        asked = {
            ASKED[name]: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in ASKED
        }
        answer = file.get_response(scope["method"], asked)
        body = b""
        if answer.file is not None:
            with answer.file:
                body = answer.file.read()  # our own files, at most some 100 kB
        headers = [*answer.headers, *SECURITY, *_transport()]
        await send(
            {
                "type": "http.response.start",
                "status": int(answer.status),
                "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in headers],
            }
        )
        await send({"type": "http.response.body", "body": body})


def collect() -> bool:
    """Bring STATIC_ROOT up to date; False if nothing had changed since the last time."""
    stamp = Path(f"{settings.STATIC_ROOT}.stamp")
    kept_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    before, print_now = stamp.read_text() if stamp.exists() else "", f"{kept_by} {_fingerprint()}"
    if before == print_now:
        return False
    # A file that did not change is not written anew; if how they are kept did, all are.
    is_kept_otherwise = not before.startswith(kept_by)
    call_command("collectstatic", interactive=False, verbosity=0, clear=is_kept_otherwise)
    stamp.write_text(print_now)
    return True


def _fingerprint() -> str:
    """Names a state of all files that would be collected, without reading them."""
    found = hashlib.sha256(f"{version('django')} {version('whitenoise')}".encode())
    for finder in finders.get_finders():
        for name, storage in sorted(finder.list(None), key=lambda pair: pair[0]):
            facts = Path(storage.path(name)).stat()
            found.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return found.hexdigest()
