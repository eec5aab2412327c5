"""Who comes with a token, what it was made for, and how often it comes."""

import logging
import time
from typing import Literal

import redis
from django.http import HttpRequest
from ninja.security import HttpBearer

from dashboard import visitors
from dashboard.accounts import factors
from dashboard.api import tokens
from dashboard.api.models import ApiToken
from dashboard.api.problems import Problem
from runs import notices

logger = logging.getLogger(__name__)

type Scope = Literal["read", "add"]

A_MINUTE = 300  # requests of one token
WRONG_A_MINUTE = 30  # requests of one address without a good token
RIGHTS = {"read": "runs.view_run", "add": "runs.add_run"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Runsheet"'}


class Bearer(HttpBearer):
    """A token with `scope`, whose owner may (still) do that."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> ApiToken:
        address = str(visitors.address_of(request) or "")
        token: ApiToken | None = super().__call__(request)
        if token is None:  # who has a good one is not held off for a neighbour's bad one
            _hold_off(f"wrong:{address}", WRONG_A_MINUTE)
            _count(f"wrong:{address}")
            raise Problem(401, "Send a live token as `Authorization: Bearer …`.", None, CHALLENGE)
        request.user = token.user
        request.api_token = token  # type: ignore[attr-defined]
        self._check(token)
        _hold_off(f"token:{token.pk}", A_MINUTE)
        _count(f"token:{token.pk}")
        tokens.note_use(token, address)
        return token

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        return tokens.found(token.strip())

    def _check(self, token: ApiToken) -> None:
        if not getattr(token, f"may_{self.scope}"):
            raise Problem(403, f"This token was not made to {self.scope}.")
        if not token.user.has_perm(RIGHTS["read"]) or not token.user.has_perm(RIGHTS[self.scope]):
            raise Problem(403, "The role of the token's owner does not include this.")
        if factors.reason_on_every_page(token.user) and not factors.is_set_up(token.user):
            raise Problem(403, "The token's owner has to set up a second factor first.")


def _hold_off(what: str, most: int) -> None:
    """Raises Problem if `what` happened `most` times in this minute. Without Redis nothing is
    counted: a limit that is lost for a while is better than an API that is."""
    try:
        count = notices.connection().get(_key(what))
    except redis.RedisError as error:
        logger.warning("requests are not counted: %s", type(error).__name__)
        return
    if isinstance(count, bytes) and int(count) >= most:
        wait = 60 - int(time.time()) % 60
        detail = f"At most {most} requests a minute; go on in {wait} s."
        raise Problem(429, detail, None, {"Retry-After": str(wait)})


def _count(what: str) -> None:
    try:
        with notices.connection().pipeline(transaction=False) as pipe:
            pipe.incr(_key(what))
            pipe.expire(_key(what), 120)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("a request is not counted: %s", type(error).__name__)


def _key(what: str) -> str:
    return f"runsheet:api:{int(time.time() // 60)}:{what}"
