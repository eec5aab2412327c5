from django.db import models


class Spent(models.Model):
    """A change of what runs have cost, or the sum of some; `runs.spending` alone reads and writes
    it."""

    micros = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.micros)
