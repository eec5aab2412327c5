"""Who is acting, and from where: of the request that is being answered in this context."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from django.contrib.auth.models import User
from django.http import HttpRequest

from dashboard import visitors

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)


class Actor(NamedTuple):
    """`person` None: nobody signed in, or a command typed on the server (then no address)."""

    person: int | None
    name: str
    address: str


@contextmanager
def of(request: HttpRequest) -> Iterator[None]:
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def actor() -> Actor:
    request = _request.get()
    if request is None:
        return Actor(None, "", "")
    person, name = signed_in(request)
    return Actor(person, name, address(request))


def signed_in(request: HttpRequest) -> tuple[int | None, str]:
    user = getattr(request, "user", None)
    if isinstance(user, User) or (user is not None and user.is_authenticated):
        return user.pk, user.get_username()
    return None, ""


def means(request: HttpRequest) -> str:
    """By what somebody came who did not come by a session."""
    token = getattr(request, "api_token", None)
    return f"by token “{token.name}”" if token is not None else ""


def address(request: HttpRequest) -> str:
    """Of the browser, behind as many proxies as TRUSTED_PROXIES says; "" if it makes no sense."""
    return str(visitors.address_of(request) or "")
