"""Recovery codes, of which the database keeps only what tells a right one.

allauth derives all codes of an account from one seed, which is kept sealed: whoever has the
database and SECRET_KEY has the codes. Here each code has 120 random bits, so that one salted
SHA-256 of it gives nothing away (OWASP ASVS 5.0, 6.5.2), and stands in the clear only on the page
that makes it. allauth has no setting for another class; `install` puts ours where it looks one up.
"""

import hashlib
import hmac
import secrets
from typing import ClassVar

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal import auth, flows
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction

# Crockford's: no letter that is read as a digit.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH, GROUP = 24, 4  # characters of a code, and of a group of them on paper
_MISREAD = str.maketrans("oil", "011", " -\t\u2013")


class HashedCodes(auth.RecoveryCodes):
    """`data`: `salt` and `hashes`, one for each code that was not used, in hexadecimal."""

    HIDDEN: ClassVar = "****"
    instance: Authenticator

    @classmethod
    def activate(cls, user: AbstractBaseUser) -> "HashedCodes":
        """A row without a code; `make` makes them when the page that shows them is written."""
        row, _ = Authenticator.objects.get_or_create(
            user_id=user.pk,
            type=Authenticator.Type.RECOVERY_CODES,
            defaults={"data": {"salt": "", "hashes": []}},
        )
        return cls(row)

    def make(self) -> list[str]:
        """New codes in place of all before, in groups as they are read out."""
        codes = ["".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(_count())]
        salt = secrets.token_hex(16)
        self.instance.data = {"salt": salt, "hashes": [_hash(salt, code) for code in codes]}
        self.instance.save(update_fields=["data"])
        return [_in_groups(code) for code in codes]

    @transaction.atomic
    def validate_code(self, code: str) -> bool:
        """Whether it is one of the codes, which is used with that; blanks, dashes and capitals
        do not matter, nor whether an o was written for a zero."""
        told = code.lower().translate(_MISREAD)
        if len(told) != LENGTH or not self.left:
            return False
        self.instance = Authenticator.objects.select_for_update().get(pk=self.instance.pk)
        digest = _hash(self.instance.data["salt"], told)
        kept = self.instance.data["hashes"]
        others = [one for one in kept if not hmac.compare_digest(one, digest)]
        if len(others) == len(kept):
            return False
        self.instance.data["hashes"] = others
        self.instance.save(update_fields=["data"])
        return True

    @property
    def left(self) -> int:
        return len(self.instance.data["hashes"])

    def get_unused_codes(self) -> list[str]:
        """As many as are left; allauth's pages count them, and none can be had back."""
        return [self.HIDDEN] * self.left

    def generate_codes(self) -> list[str]:
        return self.get_unused_codes()


def install() -> None:
    auth.RecoveryCodes = HashedCodes
    flows.RecoveryCodes = HashedCodes


def make_for(user: AbstractBaseUser) -> list[str]:
    """The new codes of an account that has a second factor."""
    return HashedCodes.activate(user).make()


def _count() -> int:
    return int(app_settings.RECOVERY_CODE_COUNT)


def _hash(salt: str, code: str) -> str:
    told = code.encode("utf-8", "surrogatepass")
    return hashlib.sha256(bytes.fromhex(salt) + told).hexdigest()


def _in_groups(code: str) -> str:
    return " ".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP))
