"""A text that must not be shown: whatever prints, formats, logs or serialises it gets `***`."""

import hmac
from collections.abc import Callable
from typing import Any, Never

HIDDEN = "***"


class Secret(str):
    """As a string it *is* `***`, in JSON and in a pickle too; `reveal()` gives the text itself.

    Only for what our own code reveals: to anything that takes it for a plain string (as Django
    does SECRET_KEY) it would be three asterisks.
    """

    __slots__ = ("_reveal",)
    _reveal: Callable[[], str]

    def __new__(cls, text: str = "") -> "Secret":
        if isinstance(text, Secret):
            return text
        made = super().__new__(cls, HIDDEN if text else "")
        made._reveal = lambda: text  # a closure: no attribute, dump or `vars` leads to it
        return made

    def reveal(self) -> str:
        return self._reveal()

    def __repr__(self) -> str:
        return repr(str(self))

    def __eq__(self, other: object) -> bool:
        """Only another secret can be equal, compared in constant time."""
        if not isinstance(other, Secret):
            return False
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __reduce_ex__(self, protocol: Any) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: Any) -> "Secret":
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, "_reveal"):
            self._refuse()
        super().__setattr__(name, value)

    @staticmethod
    def _refuse() -> Never:
        raise AttributeError("a secret does not change")
