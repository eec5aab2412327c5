"""Which host each key of Case.dev belongs to."""

from django.db import models


class KeyHost(models.Model):
    """By a keyed fingerprint; the key itself is nowhere."""

    fingerprint = models.BinaryField(max_length=32, unique=True)
    host = models.CharField(max_length=255)
    since = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.host
