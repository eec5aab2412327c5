"""Settings read from the environment.

A wrong value ends the process at once with exit code 2 and one sentence that names the variable:
a web server that starts with a half-understood setting is found out too late.
"""

import os
import re
import secrets
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
HOST = re.compile(r"\*|\.?[\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\]", re.ASCII)


def refuse(sentence: str) -> NoReturn:
    """End the process with exit code 2 and `sentence` on standard error."""
    sys.stderr.write(f"runsheet: {sentence}\n")
    raise SystemExit(2)


def text(name: str, default: str = "") -> str:
    """The variable `name`, else what the file named by `NAME_FILE` holds, else `default`."""
    value = os.environ.get(name, "").strip()
    file_name = os.environ.get(f"{name}_FILE", "").strip()
    if value and file_name:
        refuse(f"{name} and {name}_FILE are both set; keep one of them.")
    if not file_name:
        return value or default
    try:
        return Path(file_name).read_text(encoding="utf-8").strip() or default
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        refuse(f"{name}_FILE names {file_name!r}, which cannot be read: {reason}.")


def flag(name: str, default: bool) -> bool:
    """A yes-or-no variable: 1/0, true/false, yes/no, on/off."""
    value = text(name).lower()
    if not value:
        return default
    if value in TRUE | FALSE:
        return value in TRUE
    refuse(f"{name} is {value!r}, but must be on or off.")


def number(name: str, default: int, low: int, high: int) -> int:
    """A whole number between `low` and `high`, both included."""
    value = text(name)
    if not value:
        return default
    try:
        result = int(value)
    except ValueError:
        refuse(f"{name} is {value!r}, but must be a whole number from {low} to {high}.")
    if not low <= result <= high:
        refuse(f"{name} is {result}, but must be from {low} to {high}.")
    return result


def folder(name: str, default: Path) -> Path:
    """An absolute path; whether it can be written is found out by whoever writes first."""
    path = Path(text(name, str(default))).expanduser().resolve()
    if path.exists() and not path.is_dir():
        refuse(f"{name} is {str(path)!r}, which is not a folder.")
    return path


def hosts(name: str) -> list[str]:
    """Host names separated by commas, as Django's ALLOWED_HOSTS takes them."""
    found = [part.strip() for part in text(name).split(",") if part.strip()]
    for part in found:
        if not HOST.fullmatch(part):
            refuse(f"{name} holds {part!r}, but must be host names separated by commas.")
    return found


def url(name: str, default: str, schemes: set[str]) -> str:
    """A URL with one of `schemes` and a host (unix: a path), without a trailing slash."""
    value = text(name, default)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        has_place = bool(parts.hostname) or (parts.scheme == "unix" and bool(parts.path))
        _ = parts.port
    except ValueError:
        parts, has_place = urlsplit(""), False
    if parts.scheme not in schemes or not has_place or any(c.isspace() for c in value):
        # The value may carry a password, so the sentence does not repeat it.
        refuse(
            f"{name} must be a URL that starts with {' or '.join(sorted(schemes))}:// and a host."
        )
    return value.rstrip("/")


def database_url(name: str) -> str:
    """A PostgreSQL URL with a host and a database, or empty for SQLite in the data folder."""
    value = url(name, "", {"postgres", "postgresql"})
    if value and not urlsplit(value).path.strip("/"):
        refuse(f"{name} names no database: it must end with / and the database's name.")
    return value


def redis_url(name: str) -> str:
    """A Redis or Valkey URL; its path, if any, is the number of a database."""
    value = url(name, "", {"redis", "rediss", "unix"})
    number_of_database = urlsplit(value).path.strip("/")
    if not value.startswith("unix:") and number_of_database and not number_of_database.isdecimal():
        refuse(f"{name} must end with the number of a database, such as /0, or with the port.")
    return value


def origin(name: str) -> str:
    """`https://host` or `https://host:port`: where people reach the site."""
    value = url(name, "", {"http", "https"})
    parts = urlsplit(value)
    if value != f"{parts.scheme}://{parts.netloc}" and value:
        refuse(f"{name} must be only scheme and host, such as https://runs.example.org.")
    return value


def host(address: str) -> str:
    """The host of a URL as it stands in a Host header, without the port."""
    name = urlsplit(address).hostname or ""
    return f"[{name}]" if ":" in name else name


def is_loopback(address: str) -> bool:
    """Whether the URL `address` points at this very machine."""
    return (urlsplit(address).hostname or "") in LOOPBACK


def noted(path: Path, default: str) -> str:
    """What `make run` noted in `path` for the processes beside it, else `default`."""
    try:
        return path.read_text(encoding="utf-8").strip() or default
    except (OSError, UnicodeDecodeError):
        return default


def kept_secret(path: Path) -> str:
    """The secret in `path`; made on first use, readable by its owner only.

    Two processes that start together must end up with the same secret, hence the exclusive
    creation of a finished file by link, and the read after it.
    """
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(48))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        except OSError as error:
            refuse(f"RUNSHEET_DATA_DIR {str(path.parent)!r} cannot be written: {error.strerror}.")
    return path.read_text(encoding="utf-8").strip()
