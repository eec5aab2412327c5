"""What can go wrong when asking Case.dev. Each error is an outcome that one `match` decides.

CaseDevError
├── Unreachable     transient   no answer: connection, DNS, TLS, time ran out
├── Unavailable     transient   answered 5xx, 408, 409 or 425
├── RateLimited     transient   answered 429
├── KeyRefused      permanent   answered 401, or there is no key: nothing will work
├── Forbidden       permanent   answered 403: this run, or the key as a whole
├── NotFound        permanent   answered 404 or 410
├── Rejected        permanent   answered anything else that is not 2xx
└── Unreadable      the body    cut off, too large, wrongly encoded, or not the JSON we know
"""


class CaseDevError(Exception):
    """`sentence` is for people; it never holds the key. `retry_after` is seconds, if told."""

    is_transient = False

    def __init__(
        self, sentence: str, *, retry_after: float | None = None, body: bytes = b""
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retry_after = retry_after
        self.body = body


class Unreachable(CaseDevError):
    is_transient = True


class Unavailable(CaseDevError):
    is_transient = True


class RateLimited(CaseDevError):
    is_transient = True


class KeyRefused(CaseDevError):
    pass


class Forbidden(CaseDevError):
    pass


class NotFound(CaseDevError):
    pass


class Rejected(CaseDevError):
    pass


class Unreadable(CaseDevError):
    """`body` holds the bytes that could not be read, as far as they were taken in."""
