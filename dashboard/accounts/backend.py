"""Signing in by allauth, and what an account may do asked for in one question."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.db import connection

# Each request asks this. Django asks twice, and building the two questions takes longer than both
# answers.
_RIGHTS = """
SELECT t.app_label, p.codename FROM auth_permission p
JOIN django_content_type t ON t.id = p.content_type_id
WHERE p.id IN (
    SELECT permission_id FROM auth_user_user_permissions WHERE user_id = %s
    UNION ALL
    SELECT r.permission_id FROM auth_user_groups m
    JOIN auth_group_permissions r ON r.group_id = m.group_id WHERE m.user_id = %s
)
"""


class Backend(AuthenticationBackend):
    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """As Django's own, which keeps them with the account for the rest of the request too."""
        asks = user_obj.is_active and not user_obj.is_superuser and not user_obj.is_anonymous
        if asks and obj is None and not hasattr(user_obj, "_perm_cache"):
            with connection.cursor() as cursor:
                cursor.execute(_RIGHTS, [user_obj.pk, user_obj.pk])
                user_obj._perm_cache = {f"{app}.{name}" for app, name in cursor.fetchall()}
        rights: set[str] = super().get_all_permissions(user_obj, obj)
        return rights
