"""Passwords that anybody would try first at a site like this one."""

import re
from typing import Any, ClassVar

from django.core.exceptions import ValidationError

# Words of this product, of those who use it and of what passwords are made of everywhere.
WORDS = (
    *("runsheet", "casedev", "case", "dev", "agent", "dashboard", "workflow", "vault", "matter"),
    *("legal", "lawyer", "attorney", "counsel", "paralegal", "lawfirm", "firm", "law", "court"),
    *("deposition", "discovery", "privilege", "privileged", "evidence", "docket", "contract"),
    *("password", "passwort", "secret", "admin", "administrator", "login", "welcome", "letmein"),
    *("spring", "summer", "autumn", "fall", "winter", "monday", "friday", "qwerty"),
)


class ContextWordsValidator:
    """What is left of a password without WORDS, the account's own names, digits and marks must
    still be worth guessing."""

    LEFT: ClassVar = 4  # letters

    def validate(self, password: str, user: Any = None) -> None:
        left = re.sub(r"[\W\d_]+", "", password.lower())
        if not left:
            return  # digits and marks alone: their length and the list of common ones decide
        for word in sorted({*WORDS, *_names_of(user)}, key=len, reverse=True):
            left = left.replace(word, "")
        if len(left) < self.LEFT:
            raise ValidationError(
                "The password is made of words that anybody would try here.", "context_words"
            )

    def get_help_text(self) -> str:
        return "It must be more than words of this product, of the law or of your own name."


def _names_of(user: Any) -> set[str]:
    if user is None:
        return set()
    told = (user.get_username(), user.first_name, user.last_name, user.email)
    parts = re.findall(r"[^\W\d_]{3,}", " ".join(told).lower())
    return set(parts)
