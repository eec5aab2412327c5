"""Passwords that anybody would try first at a site like this one."""

import re
from functools import cache
from typing import Any, ClassVar

from django.contrib.auth.password_validation import CommonPasswordValidator
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


def refusal_of_passphrase(passphrase: str) -> str:
    """Why a share link cannot have this passphrase, as a sentence; "" if it can. It is held to the
    lists that passwords are held to (OWASP ASVS 5.0, 6.2.4), whatever its length."""
    try:
        _common().validate(passphrase)
        ContextWordsValidator().validate(passphrase)
    except ValidationError:
        return "That is what anybody would try first. Take a few words that do not belong together."
    return ""


@cache
def _common() -> CommonPasswordValidator:
    return CommonPasswordValidator()  # reads 20,000 words


def _names_of(user: Any) -> set[str]:
    if user is None:
        return set()
    told = (user.get_username(), user.first_name, user.last_name, user.email)
    parts = re.findall(r"[^\W\d_]{3,}", " ".join(told).lower())
    return set(parts)
