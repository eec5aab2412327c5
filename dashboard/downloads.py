"""Answers that carry what a run said, byte for byte, and can do nothing where they are opened."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

# A document that a browser opens after all has no origin, no script and no outside.
SEALED = "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


def sealed(
    body: bytes | str, filename: str, content_type: str = TEXT, as_attachment: bool = True
) -> HttpResponse:
    response = HttpResponse(
        body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body,
        content_type=content_type,
    )
    seal(response, filename, as_attachment)
    return response


def seal(response: HttpResponseBase, filename: str, as_attachment: bool = True) -> None:
    disposition = content_disposition_header(as_attachment, filename)
    response.headers["Content-Disposition"] = disposition or "inline"
    response.headers["Content-Security-Policy"] = SEALED
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
