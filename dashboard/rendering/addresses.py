"""Addresses that an agent's text links to, read as a browser would, or not taken for one at all.

What a reader is shown must be where the browser goes. So an address is built anew from parts that
every parser reads alike: no user before the host, no escapes in it, no odd spellings of numbers.
"""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

LONGEST = 2_000  # characters
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_IN_PATHS = "/:@!$&'()*+,;=~%?#[]"


class Address(NamedTuple):
    """`href` leads to `host` (with its port; for mail the whole address). `spelt`: the letters
    that a host in punycode stands for, "" where there are none."""

    href: str
    host: str
    spelt: str
    is_mail: bool = False


def read(text: str) -> Address | None:
    """None: not an absolute address of the web or of mail, or one that could mislead."""
    if len(text) > LONGEST or "\\" in text or any(c <= " " or c == "\x7f" for c in text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme == "mailto":  # without a subject or a body that somebody else wrote
        is_one = _MAIL.fullmatch(parts.path) is not None
        return Address(f"mailto:{parts.path}", parts.path, "", is_mail=True) if is_one else None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        return None
    name = _host(parts.netloc.lower() if parts.hostname is None else parts.hostname)
    if name is None:
        return None
    host = f"{name}:{port}" if port is not None else name
    path, query, fragment = (quote(part, safe=_IN_PATHS) for part in parts[2:])
    return Address(
        urlunsplit((parts.scheme, host, path or "/", query, fragment)), host, _spelt(name)
    )


def _host(name: str) -> str | None:
    """As it is asked for, in ASCII; None for what is no name of a host or a doubtful one."""
    if ":" in name:
        return f"[{name}]" if "%" not in name and _is_address(name) else None
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode().lower()
    except UnicodeError:
        return None
    if not _NAME.fullmatch(ascii_name):
        return None
    # A last label of digits makes browsers read numbers: only the plain spelling is taken.
    is_number = re.fullmatch(r"\d+|0x[0-9a-f]*", ascii_name.rpartition(".")[2])
    return ascii_name if not is_number or _is_address(ascii_name) else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _spelt(name: str) -> str:
    if "xn--" not in name:
        return ""
    try:
        return name.encode().decode("idna")
    except UnicodeError:
        return ""
