"""What is answered when a request broke, wherever it did: in a view or in what stands around it."""

import logging
import sqlite3
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

logger = logging.getLogger(__name__)


def broken(request: HttpRequest) -> HttpResponse:
    """500; but 503 for what passes: a database that is away, has no room or is locked."""
    error = sys.exc_info()[1]
    if not _will_pass(error):
        return server_error(request)
    logger.error("the database cannot be used", exc_info=error)
    body = render_to_string("503.html")
    return HttpResponse(
        body, status=503, headers={"Retry-After": "10", "Cache-Control": "no-store"}
    )


def _will_pass(error: BaseException | None) -> bool:
    """SQLite tells of a wrong statement by the same class."""
    is_wrong = getattr(error and error.__cause__, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR
    return isinstance(error, OperationalError | InterfaceError) and not is_wrong
