"""Path converters of our own."""


class RunIdConverter:
    """What Case.dev's run ids are made of, as far as we send one back in an address."""

    regex = r"[A-Za-z0-9_-]{1,128}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
