"""Saved views: kept, shared, made the default, taken away. Each is in the audit log."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.saved.models import DefaultView, SavedView

MOST = 100  # of one person


class NameTaken(ValueError):
    """The person has a view with this name."""


class TooMany(ValueError):
    """The person has as many views as one may have."""


def keep(owner: User, name: str, query: str, *, is_shared: bool, is_default: bool) -> SavedView:
    """Raises NameTaken and TooMany. `query` is the shortest that asks the same (`Asked.query`)."""
    if SavedView.objects.filter(owner=owner).count() >= MOST:
        raise TooMany
    try:
        with transaction.atomic():
            view = SavedView.objects.create(
                owner=owner,
                name=name,
                query=query,
                is_shared=is_shared,
                created_at=timezone.now(),
            )
            told = f"“{name}”{', shared' if is_shared else ''}: {query or 'all runs'}"
            acts.record(Act.VIEW, page=f"view {view.pk}", detail=told, by=owner)
            if is_default:
                make_default(owner, view)
    except IntegrityError as error:
        raise NameTaken from error
    return view


def change(view: SavedView, by: User, *, is_shared: bool) -> None:
    with transaction.atomic():
        SavedView.objects.filter(pk=view.pk).update(is_shared=is_shared)
        if not is_shared:  # it is nobody's default who cannot see it
            DefaultView.objects.filter(view=view).exclude(user=view.owner_id).delete()
        told = f"“{view.name}”: {'shared' if is_shared else 'no longer shared'}"
        acts.record(Act.VIEW, page=f"view {view.pk}", detail=told, by=by)


def remove(view: SavedView, by: User) -> None:
    with transaction.atomic():
        acts.record(Act.VIEW, page=f"view {view.pk}", detail=f"“{view.name}”: removed", by=by)
        view.delete()


def make_default(user: User, view: SavedView | None) -> None:
    """None: the list opens with all runs."""
    with transaction.atomic():
        DefaultView.objects.filter(user=user).delete()
        if view is not None:
            DefaultView.objects.create(user=user, view=view)
        told = f"default: “{view.name}”" if view else "no default"
        acts.record(Act.VIEW, page="view", detail=told, by=user)


def default_of(person: int) -> SavedView | None:
    """As long as the person may see it."""
    seen = SavedView.objects.seen_by(person)
    return seen.filter(pk__in=DefaultView.objects.filter(user=person).values("view")).first()
