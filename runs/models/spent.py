from django.db import models


class _Sums(models.Model):
    """What some runs of one agent and one model have cost, and how many there are of each kind;
    see `runs.spending.Sums`."""

    agent_id = models.CharField(max_length=200, null=True)
    model = models.CharField(max_length=200, null=True)
    micros = models.BigIntegerField()
    runs = models.BigIntegerField()
    silent = models.BigIntegerField()
    open = models.BigIntegerField()
    unread = models.BigIntegerField()

    class Meta:
        abstract = True
        default_permissions = ()


class Spent(_Sums):
    """A change of the sums; `runs.spending` alone reads and writes it.

    By the time itself, not the day: whoever writes it need not agree with others about the zone.
    """

    listed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.micros} at {self.listed_at}"


class SpentByDay(_Sums):
    """What the changes up to some moment came to, by the local day of `Run.listed_at`.

    A group has one row. No constraint says so: null would have to equal null, which SQLite's do
    not; that one process at a time folds does.
    """

    day = models.DateField()

    class Meta(_Sums.Meta):
        abstract = False
        indexes = (models.Index(fields=["day"], name="overview_days"),)

    def __str__(self) -> str:
        return f"{self.micros} on {self.day}"


class SpentInAll(models.Model):
    """The one row that whoever folds holds: the sum over `SpentByDay`, and whose days they are."""

    SOLE = 1

    micros = models.BigIntegerField(default=0)
    zone = models.CharField(max_length=100, help_text="TIME_ZONE when the days were made.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.micros}, days of {self.zone}"
