"""What each person, and the site, wants of notices."""

import datetime as dt
from collections.abc import Collection
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.notices import mail
from dashboard.notices.models import Channel, Event, NoticeChoice, NoticeRules, Pace

# Whoever follows a run wants to hear of it; a webhook is there only once somebody names one.
DEFAULTS = {Channel.EMAIL.value: Event.values, Channel.WEBHOOK.value: Event.values}


@cache
def zones() -> list[str]:
    """Names of time zones, as this machine knows them."""
    named = (name for name in available_timezones() if "/" in name)
    return sorted({"UTC", *(name for name in named if not name.startswith("Etc/"))})


def rules() -> NoticeRules:
    return NoticeRules.objects.filter(pk=NoticeRules.SOLE).first() or NoticeRules()


def of(user: User) -> NoticeChoice:
    """A row that is perhaps not stored yet."""
    return of_all([user.pk])[user.pk]


def of_all(users: Collection[int]) -> dict[int, NoticeChoice]:
    rows = NoticeChoice.objects.filter(user__in=users).select_related("user")
    found = {row.user_id: row for row in rows}
    return {
        user: found.get(user)
        or NoticeChoice(user_id=user, switches=DEFAULTS, changed_at=timezone.now())
        for user in users
    }


def channels(choice: NoticeChoice, event: str) -> list[Channel]:
    """By which of them the person is to be told of an `event`."""
    wanted = [one for one in Channel if event in choice.switches.get(one.value, ())]
    return [one for one in wanted if not obstacle(choice, one)]


def zone(choice: NoticeChoice) -> ZoneInfo:
    try:
        return ZoneInfo(choice.time_zone)
    except (ZoneInfoNotFoundError, ValueError):  # a zone that this machine does not know any more
        return ZoneInfo("UTC")


def obstacle(choice: NoticeChoice, channel: str) -> str:
    """Why nothing can be sent by `channel`, as a sentence; "" if it can."""
    if channel == Channel.WEBHOOK:
        return "" if choice.webhook else "Its address is given below."
    if not mail.is_on():
        return "This installation sends no e-mail: whoever runs it has set no mail server."
    return "" if choice.user.email else "Your account has no e-mail address."


def digest_day(choice: NoticeChoice, now: dt.datetime) -> dt.date | None:
    """The day, where the person is, whose digest is due by now; None if it has been made.

    An hour that does not exist on the day that clocks go forward counts as the one after it, and
    one that comes twice as the first.
    """
    here = zone(choice)
    today = now.astimezone(here).date()
    is_over = choice.digested_on is not None and choice.digested_on >= today
    return today if not is_over and now >= moment(choice, today) else None


def moment(choice: NoticeChoice, day: dt.date) -> dt.datetime:
    """When the digest of `day` is made, in UTC."""
    local = dt.datetime.combine(day, dt.time(choice.hour), tzinfo=zone(choice))
    return local.astimezone(dt.UTC)


def keep(choice: NoticeChoice, user: User) -> None:
    """Store what `user` chose. Whoever chooses an hour that is past waits until tomorrow."""
    now = choice.changed_at = timezone.now()
    if choice.pace == Pace.DAILY and (today := digest_day(choice, now)):
        choice.digested_on = today
    with transaction.atomic():
        choice.save()
        told = [f"{name}: {', '.join(on) or 'none'}" for name, on in choice.switches.items()]
        told.append(choice.get_pace_display().lower())
        acts.record(Act.NOTICES_SET, page="notices", detail="; ".join(told), by=user)


def keep_rules(changed: NoticeRules, user: User) -> None:
    changed.changed_at, changed.changed_by = timezone.now(), user
    with transaction.atomic():
        changed.save()
        detail = (
            f"cost {_word(changed.tells_cost)}, title {_word(changed.tells_title)}, "
            f"limit {changed.limit_micros} micro-dollars"
        )
        acts.record(Act.SETTING, page="notices", detail=f"messages tell: {detail}", by=user)


def _word(is_on: bool) -> str:
    return "on" if is_on else "off"
