"""How far each person has looked, so that pages can say what is new to them.

Written when somebody leaves a page or says that they have seen it, never by showing one: a page
that was opened in a tab and not looked at stays new. It only ever moves forward.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce, Substr
from django.utils import timezone

from runs import spending
from runs.models import Run

LISTED = 12  # runs with news that are named; the others are counted
COUNTED = 1_000
OPENING = 400


class Watermark(models.Model):
    """What one person has seen of one run: all that it was at `version`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, models.CASCADE, related_name="+")
    version = models.PositiveBigIntegerField()
    steps = models.PositiveIntegerField()
    cost_micros = models.BigIntegerField(null=True)
    status = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["user", "run"], name="one_watermark_a_run"),)

    def __str__(self) -> str:
        return f"{self.user_id} has seen version {self.version} of run {self.run_id}"


class ListWatermark(models.Model):
    """When one person last looked at the lists of runs, and what all runs had cost by then."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    newest_run = models.BigIntegerField(help_text="Key of the latest run that there was.")
    cost_micros = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.user_id} looked at {self.at}"


# One run -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Since:
    """What is new of a run to somebody. `position`: the first new step, None if there is none."""

    run: Run
    at: dt.datetime
    position: int | None
    steps: int
    micros: int
    status: str  # the new one; "" if it is the same
    opening: str = ""  # the beginning of the prompt, where the run does not hold it

    @property
    def is_news(self) -> bool:
        return bool(self.steps or self.micros or self.status)


def since(user_pk: int | None, run: Run) -> Since | None:
    """None for who has not looked at the run before, and where nothing is new."""
    row = Watermark.objects.filter(user=user_pk, run=run).first() if user_pk else None
    found = _since(row, run) if row else None
    return found if found and found.is_news else None


def _since(row: Watermark, run: Run) -> Since:
    added = run.step_count - row.steps
    before, now = row.cost_micros or 0, run.cost_micros
    return Since(
        run=run,
        at=row.at,
        position=row.steps + 1 if added > 0 else None,
        steps=max(added, 0),
        micros=now - before if now is not None else 0,
        status=run.status if run.status != row.status else "",
    )


def saw(user_pk: int, run: Run, version: int, micros: int | None) -> None:
    """Somebody has seen `run` as it was at `version`, which may be behind what it is now."""
    version = min(version, run.version)
    is_now = version == run.version
    seen: dict[str, Any] = {
        "version": version,
        "steps": run.step_count if is_now else _steps_at(run, version),
        "cost_micros": run.cost_micros if is_now else micros,
        "at": timezone.now(),
    }
    if is_now:
        seen["status"] = run.status
    rows = Watermark.objects.filter(user=user_pk, run=run)
    if not rows.filter(version__lte=version).update(**seen):
        fresh = Watermark(user_id=user_pk, run=run, **({"status": run.status} | seen))
        Watermark.objects.bulk_create([fresh], ignore_conflicts=True)


def _steps_at(run: Run, version: int) -> int:
    """How many steps there were. Steps come at the end, so the last unchanged one tells."""
    there = run.steps.present().filter(changed_version__lte=version)
    last: int | None = there.aggregate(last=Max("position"))["last"]
    return last or 0


# All runs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class News:
    """What came since somebody last looked at the lists. `moved`: runs that they know, with what
    is new of each, the latest first; `more` further ones are only counted.

    Nobody reads a number of six digits, and counting so many takes long: of what is new and of what
    ended at most COUNTED are counted, `is_more...` tells that there are others, and `failed` are
    among the latest that were counted.
    """

    at: dt.datetime
    new_runs: int
    is_more_new: bool
    ended: int
    is_more_ended: bool
    failed: int
    micros: int
    moved: Sequence[Since]
    more: int

    @property
    def steps(self) -> int:
        return sum(one.steps for one in self.moved)

    @property
    def is_any(self) -> bool:
        return bool(self.new_runs or self.ended or self.micros or self.moved)


def news(user_pk: int | None) -> News | None:
    """None for who looks for the first time."""
    row = ListWatermark.objects.filter(user=user_pk).first() if user_pk else None
    if row is None:
        return None
    new_runs = Run.objects.filter(pk__gt=row.newest_run).order_by()[: COUNTED + 1].count()
    ended, failed = _ended(row.at)
    moved, more = _moved(row.user_id)
    return News(
        at=row.at,
        new_runs=min(new_runs, COUNTED),
        is_more_new=new_runs > COUNTED,
        ended=min(ended, COUNTED),
        is_more_ended=ended > COUNTED,
        failed=failed,
        micros=spending.total() - row.cost_micros,
        moved=moved,
        more=more,
    )


# Each part is a range of an index of its own, whose end is what counts. The same SQL on both
# databases.
ENDED = """
WITH latest AS (
    SELECT * FROM (
        SELECT end_read_at AS at, status FROM runs_run
        WHERE end_read_at IS NOT NULL AND end_read_at > %(since)s
        ORDER BY end_read_at DESC LIMIT %(most)s
    ) AS read
    UNION ALL
    SELECT * FROM (
        SELECT completed_at AS at, status FROM runs_run
        WHERE end_read_at IS NULL AND completed_at IS NOT NULL AND completed_at > %(since)s
        ORDER BY completed_at DESC LIMIT %(most)s
    ) AS found
)
SELECT
    (SELECT count(*) FROM latest),
    (SELECT count(*) FROM (SELECT status FROM latest ORDER BY at DESC LIMIT %(counted)s) AS told
        WHERE status = 'failed')
"""


def _ended(since: dt.datetime) -> tuple[int, int]:
    """How many runs ended, and how many of the latest COUNTED of them failed. There are more than
    are counted if it is more than COUNTED.

    By when it was read: Case.dev may tell of an end late, and its clock may differ from ours.
    """
    at = connection.ops.adapt_datetimefield_value(since)
    with connection.cursor() as cursor:
        cursor.execute(ENDED, {"since": at, "most": COUNTED + 1, "counted": COUNTED})
        ended, failed = cursor.fetchone()
    return ended, failed


def _moved(user_pk: int) -> tuple[list[Since], int]:
    """The LISTED latest runs of which something is new, and how many more there are."""
    cost = Coalesce("cost_micros", 0)
    is_news = Q(run__step_count__gt=F("steps")) | ~Q(run__status=F("status"))
    is_news |= Q(run__cost_micros__gt=cost) | Q(run__cost_micros__lt=cost)  # no null is either
    rows = Watermark.objects.filter(is_news, user=user_pk, run__version__gt=F("version"))
    latest = (
        rows.select_related("run")
        .annotate(opening=Substr("run__prompt", 1, OPENING))
        .only(
            *("version", "steps", "cost_micros", "status", "at", "user_id", "run__run_id"),
            *("run__status", "run__step_count", "run__cost_micros", "run__version"),
        )
        .order_by("-run__changed_at")[: LISTED + 1]
    )
    told = [replace(_since(row, row.run), opening=row.opening or "") for row in latest]
    more = rows[:COUNTED].count() - LISTED if len(told) > LISTED else 0
    return told[:LISTED], max(more, 0)  # some may have been seen in between


def looked(user_pk: int, newest: int | None) -> None:
    """Somebody has seen the lists when `newest` was the key of the latest run."""
    latest: int = Run.objects.aggregate(last=Max("pk"))["last"] or 0
    ListWatermark.objects.update_or_create(
        user_id=user_pk,
        defaults={
            "newest_run": min(newest, latest) if newest is not None else latest,
            "cost_micros": spending.total(),
            "at": timezone.now(),
        },
    )


def context(user_pk: int | None, run: Run) -> dict[str, Any]:
    """For the pages of a run."""
    return {"since": since(user_pk, run)}
