"""Share tokens stay out of every log line and traceback, whoever writes it and wherever to.

A token stands in the path of a shared page, and Django, its security loggers and tracebacks of
unresolved URLs all name paths. Hence at the birth of a record and not in one handler.
"""

import logging
import re
import traceback
from typing import Any

# A real token has 43 characters; a mistyped one is nearly as telling.
SHARED_PATH = re.compile(r"(?<![\w-])s/[^/\s'\"]{20,}")
MASKED = "s/***"

_plain = logging.getLogRecordFactory()


def mask(text: str) -> str:
    return SHARED_PATH.sub(MASKED, text)


def masked_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _plain(*args, **kwargs)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - a malformed call is reported by logging itself, later
        return record
    if (quiet := mask(message)) != message:
        record.msg, record.args = quiet, ()
    if record.exc_info and record.exc_info[0] is not None:
        # Formatters use `exc_text` when it is there, and never look at `exc_info` again.
        told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (quiet := mask(told)) != told:
            record.exc_text = quiet
    return record


def install() -> None:
    logging.setLogRecordFactory(masked_record)
