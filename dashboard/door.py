"""How whoever has a link comes in: the token is exchanged for a cookie at the first opening.

A token in an address ends up in histories, proxies' logs and screenshots, so a browser keeps it
no longer than it must. `/s/<token>/...` counts the view, sets a signed cookie that is bound to
the link, and redirects to `/s/-/<public id>/...`, an address that opens nothing by itself; a
redirect leaves only its target in the history. The cookie holds below `/s/<token>/` too, so that a
link clicked again in the same browser is no second view. Over TLS it is a `__Host-` cookie, which
no neighbouring name of the same domain can set; that wants the path `/`, so that it goes to the
rest of the site as well, where nothing reads it. It is named by its link and signed for it alone.

Where a passphrase is asked, or the number of views is limited, the token is exchanged for a
ticket that holds for minutes and for that link alone, and a form stands there. A
program that follows links cannot use up a limited view, since only sending the form counts.
The ticket is also the form's proof of origin: it is SameSite, and without it nothing opens.

A tool that knows no cookies (curl, a script; it does not ask for HTML) is answered under
`/s/<token>/...` itself, each page counted as a view, unless a passphrase or a limit stands
before the link: those hold for everybody, so it gets no further than the form.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from dashboard import sharing
from dashboard.models import ShareLink

LETS_IN, ASKS = "dashboard.share", "dashboard.share.ticket"
TICKET_SECONDS = 15 * 60
LONGEST_SECONDS = ShareLink.LONGEST_DAYS * 86_400


@dataclass(frozen=True, slots=True)
class Door:
    """Where the pages of a link stand. `base` ends in a slash and begins each address; it may
    hold the token, so it goes into pages and never into a log. `ordinal`: which view this is."""

    link_pk: int
    base: str
    ordinal: int | None
    is_preview: bool = False


PREVIEW = Door(0, "#", None, is_preview=True)


def address(link: ShareLink, rest: str = "") -> str:
    return reverse("shared-front", args=[link.public_id]) + rest


def wants_page(request: HttpRequest) -> bool:
    """Whether a browser asks, which keeps cookies and a history."""
    accepts = request.headers.get("Accept", "")
    return "text/html" in accepts or request.headers.get("Sec-Fetch-Mode") == "navigate"


# Cookies -----------------------------------------------------------------------------------------


def ordinal_of(request: HttpRequest, link: ShareLink) -> int | None:
    """Which view of the link this browser has been let in as, if that view still holds."""
    told = _read(request.COOKIES.get(_name("share", link)), LETS_IN, LONGEST_SECONDS, link)
    ordinal = told.get("view") if told else None
    return ordinal if ordinal and sharing.admits(ordinal, link.most_views) else None


def has_ticket(request: HttpRequest, link: ShareLink) -> bool:
    told = request.COOKIES.get(_name("ask", link))
    return _read(told, ASKS, TICKET_SECONDS, link) is not None


def let_in(request: HttpRequest, link: ShareLink, ordinal: int, rest: str = "") -> HttpResponse:
    """To the link's pages, as view number `ordinal`."""
    response = HttpResponseRedirect(address(link, rest))
    _set(request, response, _name("share", link), _signed(LETS_IN, link, ordinal))
    if _name("ask", link) in request.COOKIES:
        response.delete_cookie(_name("ask", link), samesite="Lax")
    return response


def hand_ticket(request: HttpRequest, link: ShareLink) -> HttpResponse:
    """To the form before the link's pages."""
    response = HttpResponseRedirect(address(link))
    _set(request, response, _name("ask", link), _signed(ASKS, link, 0), TICKET_SECONDS)
    return response


def _name(kind: str, link: ShareLink) -> str:
    secure = "__Host-" if settings.SERVED_OVER_TLS else ""
    return f"{secure}{kind}-{link.public_id}"


def _signed(salt: str, link: ShareLink, ordinal: int) -> str:
    return signing.dumps({"link": link.pk, "of": _mark(link), "view": ordinal}, salt=salt)


def _read(value: str | None, salt: str, seconds: int, link: ShareLink) -> dict[str, Any] | None:
    try:
        told = signing.loads(value or "", salt=salt, max_age=seconds)
    except signing.BadSignature:
        return None
    if told.get("link") != link.pk or told.get("of") != _mark(link):
        return None
    return dict(told)


def _mark(link: ShareLink) -> str:
    """Binds a cookie to this token and this passphrase, should a row ever be used again."""
    return signing.Signer(salt=link.passphrase).signature(bytes(link.token_digest).hex())[:16]


def _set(
    request: HttpRequest,
    response: HttpResponse,
    name: str,
    value: str,
    seconds: int | None = None,
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        secure=settings.SERVED_OVER_TLS or request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
