"""Errors as problem details (RFC 9457): `status`, `title`, `detail`, and `errors` where one can
say which part of a request was wrong. `code` is a word for programs to go by."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.http import HttpResponse

CONTENT_TYPE = "application/problem+json"
TITLES = {
    401: ("no-token", "A token is needed"),
    403: ("not-allowed", "Not allowed"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    422: ("invalid", "The request cannot be understood"),
    429: ("too-many-requests", "Too many requests"),
    500: ("failed", "Something failed here"),
    502: ("upstream", "Case.dev could not be asked"),
}


class Problem(Exception):
    """Ends a request. `errors`: what was wrong, by the name of the part."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.errors, self.headers = errors or {}, headers or {}


def answer(problem: Problem) -> HttpResponse:
    code, title = TITLES[problem.status]
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": problem.status,
        "code": code,
        "detail": problem.detail,
    }
    if problem.errors:
        errors = problem.errors.items()
        body["errors"] = [{"name": name, "message": message} for name, message in errors]
    return HttpResponse(
        msgspec.json.encode(body),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=dict(problem.headers),
    )
