"""What every log line and traceback keeps to, whoever writes it and wherever to.

No secret: not the key of Case.dev, nor a share token, a session, a password. No forged line: what
was said by somebody else, and holds line breaks or control characters, stays in its one line.

Both happen at the birth of a record and not in one handler: uvicorn and Celery bring handlers of
their own.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

MASKED = "***"
SHORTEST = 6  # a secret of fewer characters would mask ordinary words

# What secrets look like. A real share token has 43 characters; a mistyped one is nearly as telling.
FORMS = (
    (re.compile(r"(?<![\w-])s/(?!-/)[^/\s'\"]{20,}"), f"s/{MASKED}"),
    (re.compile(r"(?<![\w-])callbacks/[^/\s'\"]{20,}"), f"callbacks/{MASKED}"),
    (re.compile(r"sk_case_[\w-]+"), MASKED),
    # Addresses that let whoever knows them write into a channel.
    (re.compile(r"(?<=//)(hooks\.[\w.-]+)/[^\s'\"]+"), rf"\1/{MASKED}"),
    (re.compile(r"(?<=/)(web)?hooks?/[^\s'\"]{8,}"), rf"hooks/{MASKED}"),
    (re.compile(r"runsheet_[\w-]{20,}"), MASKED),  # a token of our own API
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {MASKED}"),
    (re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+@"), rf"\1:{MASKED}@"),
    (
        re.compile(
            r"(?i)((?:__Host-session|__Host-csrf|runsheet-session|runsheet-csrf|sessionid"
            r"|csrfmiddlewaretoken|csrftoken|passphrase|password[12]?|session_key|secret_key"
            r"|casedev_api_key)\\*['\"]?\s*[:=]\s*b?\\*['\"]?)([^\s'\",;&)}\\]{3,})"
        ),
        rf"\1{MASKED}",
    ),
)
# C0, DEL, C1, line and paragraph separators, and what turns the direction of text.
CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_plain = logging.getLogRecordFactory()
_known: set[str] = set()


def mask(text: str) -> str:
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASKED)
    for form, shown in FORMS:
        text = form.sub(shown, text)
    return text


def in_one_line(text: str) -> str:
    """`text` with every character that a terminal or a reader of lines would act on, named."""
    return CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def told(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> str:
    """A traceback whose every line is indented: none of them can pass for a line of the log."""
    lines = mask("".join(traceback.format_exception(kind, error, trace))).splitlines()
    return "\n".join(f"  {in_one_line(line)}" for line in lines)


def clean_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _plain(*args, **kwargs)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - a malformed call is reported by logging itself, later
        return record
    if (clean := in_one_line(mask(message))) != message:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None:
        # Formatters use `exc_text` when it is there, and never look at `exc_info` again.
        record.exc_text = told(*record.exc_info)
    if record.stack_info:
        record.stack_info = "\n".join(map(in_one_line, mask(record.stack_info).splitlines()))
    return record


def _at_the_end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Of a process that nothing has caught."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(f"{told(kind, error, trace)}\n")


def _at_the_end_of_a_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        sys.stderr.write(f"{told(args.exc_type, args.exc_value, args.exc_traceback)}\n")


def install(secrets: Iterable[str] = ()) -> None:
    """`secrets`: texts to mask wherever they stand, besides what looks like one."""
    _known.update(secret for secret in secrets if len(secret) >= SHORTEST)
    logging.setLogRecordFactory(clean_record)
    sys.excepthook = _at_the_end
    threading.excepthook = _at_the_end_of_a_thread
