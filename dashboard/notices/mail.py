"""Notices by e-mail, through the mail server that EMAIL_URL names."""

import smtplib
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core import mail

from dashboard import logs
from dashboard.notices import words
from dashboard.notices.undelivered import Undelivered
from dashboard.notices.words import Words

CHANGE = "To change what you get, or to get nothing:"


def is_on() -> bool:
    """Whether this installation can send any."""
    return "default" in mail.mailers


class Post:
    """One connection for the messages of one turn; made with the first, given up with an error."""

    def __init__(self) -> None:
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def send(self, user: User, told: Words, key: str) -> None:
        """Raises Undelivered. `key`: the same for each try of one message."""
        if not is_on():
            raise Undelivered("No mail server is set up here (EMAIL_URL).", is_final=True)
        if not user.email:
            raise Undelivered("The account has no e-mail address.", is_final=True)
        try:
            letter = _letter(user.email, told, key)
            letter.message()  # refuses line breaks in headers before anything is sent
        except ValueError:
            raise Undelivered("The address or subject cannot be sent.", is_final=True) from None
        try:
            if self._connection is None:
                self._connection = mail.mailers["default"]
                self._connection.open()
            self._connection.send_messages([letter])
        except (smtplib.SMTPException, OSError) as error:
            self._close()
            problem = _problem(error)
        else:
            return
        raise problem

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(smtplib.SMTPException, OSError):  # it may be gone already
                connection.close()


def _letter(to: str, told: Words, key: str) -> mail.EmailMessage:
    change = words.address("notice-settings")
    sender = settings.DEFAULT_FROM_EMAIL
    host = urlsplit(settings.PUBLIC_URL).hostname or sender.rpartition("@")[2].strip("> ")
    body = "\n".join([*told.lines, "", "-- ", f"{CHANGE} {change}", ""])
    headers = {
        "Message-ID": f"<{key}@{host}>",
        "List-Unsubscribe": f"<{change}>",
        "Auto-Submitted": "auto-generated",
    }
    return mail.EmailMessage(told.subject, body, sender, [to], headers=headers)


def _problem(error: Exception) -> Undelivered:
    """A refusal of the address or of the message is final; all else is the server's trouble."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            code, said = next(iter(refused.values()))
            told = f"The mail server refuses the address ({code} {_text(said)})."
            return Undelivered(told, is_final=code >= 500)
        case smtplib.SMTPAuthenticationError():
            return Undelivered("The mail server refuses our login (EMAIL_URL).")
        case smtplib.SMTPDataError():
            why = f"{error.smtp_code} {_text(error.smtp_error)}"
            told = f"The mail server refuses the message ({why})."
            return Undelivered(told, is_final=error.smtp_code >= 500)
        case smtplib.SMTPResponseException():
            told = f"The mail server answered {error.smtp_code} {_text(error.smtp_error)}."
            return Undelivered(told)
        case TimeoutError():
            return Undelivered("The mail server did not answer in time.")
    return Undelivered(f"The mail server cannot be reached ({type(error).__name__}).")


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return logs.in_one_line(logs.mask(text))[:120].strip()
