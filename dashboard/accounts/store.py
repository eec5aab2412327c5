"""Where sessions are kept: the database, as by Django, but for what is told when one cannot be
written."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.core.exceptions import ObjectNotUpdated
from django.db import DatabaseError


class SessionStore(db.SessionStore):  # by this name: it is part of what sessions are signed with
    def save(self, must_create: bool = False) -> None:
        """As Django's. But a database that is full or away is not taken for a session that was
        ended meanwhile, which is answered 400 as if the request were wrong."""
        try:
            return super().save(must_create)
        except UpdateError as error:
            fault = error.__context__
            if not isinstance(fault, DatabaseError) or isinstance(fault, ObjectNotUpdated):
                raise
        raise fault
