"""Following runs: one, those that one adds, or all that a list shows. For oneself alone."""

import secrets
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard import filters
from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.notices import choices
from dashboard.notices.models import Follow
from runs.models import Run

AT_ONCE = 500  # rows in one statement
COLUMNS = ("pk", "version", "status", "cost_micros")


def is_following(user_pk: int | None, run: Run) -> bool:
    return Follow.objects.filter(user=user_pk, run=run, is_on=True).exists()


def follow(run: Run, user: User) -> None:
    """From now on; what has happened before is not told."""
    with transaction.atomic():
        if _follow([run.pk], user, ""):
            acts.record(Act.FOLLOW, run=run.run_id, detail="follows it", by=user)


def unfollow(run: Run, user: User) -> None:
    with transaction.atomic():
        rows = Follow.objects.filter(user=user, run=run, is_on=True)
        if rows.update(is_on=False, batch=""):
            acts.record(Act.FOLLOW, run=run.run_id, detail="follows it no more", by=user)


def added(run: Run, user: User) -> None:
    """Somebody has added `run`, and follows it unless they want otherwise, or have said so."""
    has_said = Follow.objects.filter(user=user, run=run).exists()
    if not has_said and choices.of(user).follows_added:
        follow(run, user)


# Many ----------------------------------------------------------------------------------------


def follow_all(asked: filters.Asked, user: User) -> tuple[str, int]:
    """Follow what the list shows for `asked`: the batch, for `undo`, and how many are new."""
    batch = secrets.token_hex(8)
    with transaction.atomic():
        keys = list(filters.matching(asked).values_list("pk", flat=True))
        count = sum(_follow(some, user, batch) for some in _parts(keys))
        told = f"follows {count} runs more: {asked.query() or 'all'}"
        acts.record(Act.FOLLOW, page="follow", detail=told, by=user)
    return batch, count


def unfollow_all(asked: filters.Asked, user: User) -> tuple[str, int]:
    batch = secrets.token_hex(8)
    with transaction.atomic():
        keys = list(filters.matching(asked).values_list("pk", flat=True))
        count = sum(
            Follow.objects.filter(user=user, is_on=True, run__in=some).update(
                is_on=False, batch=batch
            )
            for some in _parts(keys)
        )
        told = f"follows {count} runs less: {asked.query() or 'all'}"
        acts.record(Act.FOLLOW, page="follow", detail=told, by=user)
    return batch, count


def of_batch(batch: str, user: User) -> tuple[bool, int]:
    """Whether its runs are followed by it, and how many they are still."""
    rows = Follow.objects.filter(user=user, batch=batch)
    followed = rows.filter(is_on=True).count()
    return (True, followed) if followed else (False, rows.count())


def undo(batch: str, user: User) -> int:
    """Take a batch back; of how many runs. What happened meanwhile to a run that is followed
    again is told, as if nothing had been done."""
    with transaction.atomic():
        was_followed, count = of_batch(batch, user)
        rows = Follow.objects.filter(user=user, batch=batch, is_on=was_followed)
        rows.update(is_on=not was_followed, batch="")
        acts.record(Act.FOLLOW, page="follow", detail=f"takes back: {count} runs", by=user)
    return count


def _parts(keys: list[int]) -> Iterable[list[int]]:
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))


def _follow(keys: list[int], user: User, batch: str) -> int:
    """How many of them were not followed before."""
    had = dict(Follow.objects.filter(user=user, run__in=keys).values_list("run_id", "is_on"))
    wanted = [key for key in keys if not had.get(key)]
    now = timezone.now()
    fresh: list[Follow] = []
    for key, version, status, cost in Run.objects.filter(pk__in=wanted).values_list(*COLUMNS):
        seen: dict[str, Any] = {"version": version, "status": status, "cost_micros": cost}
        is_open = {"is_open": True, "is_on": True, "since": now, "batch": batch}
        fresh.append(Follow(user=user, run_id=key, **seen, **is_open))
    Follow.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["user", "run"],
        # What it was told of is forgotten: it may stand still anew.
        update_fields=[*COLUMNS[1:], "is_on", "is_open", "since", "batch", "stall"],
    )
    return len(fresh)
