"""From notices to messages, and out.

A notice and where it goes are written together (`events`). `gather` and `digests` put what waits
into messages, and `send_due` sends them: claimed with a lease, outside any transaction, tried again
for a day. Whoever is killed in between leaves a message whose lease runs out. Only in the moment
between the other side's yes and our note of it can one be sent twice, by the same key.
"""

import datetime as dt
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from dashboard.audit import acts
from dashboard.audit.models import Act, Result
from dashboard.notices import choices, mail, sealed, webhook, words
from dashboard.notices.events import may_be_told
from dashboard.notices.models import Channel, Delivery, Event, Message, NoticeChoice, Pace
from dashboard.notices.undelivered import Undelivered
from runs.secret import Secret

logger = logging.getLogger(__name__)

SETTLE = dt.timedelta(seconds=8)  # what comes within it is counted together
MOST_SINGLE = 5  # messages about one notice each, a person and channel...
SINGLE_WITHIN = dt.timedelta(minutes=10)  # ...within this; what is more comes together
TOGETHER_EVERY = dt.timedelta(minutes=5)
MOST_WAITING = 5_000  # looked at in one turn
OF_WAITING = (
    *("channel", "notice__user", "notice__at", "notice__event"),
    *("notice__run__run_id", "notice__run__status"),
)
LEASE = dt.timedelta(minutes=2)  # outlasts the deadlines of a try
TURN = 10.0  # seconds for which one turn begins to send; a worker that is to stop waits for it
GIVE_UP = dt.timedelta(days=1)
FIRST_WAIT, LONGEST_WAIT = 30.0, 3_600.0  # seconds


# Making messages -----------------------------------------------------------------------------


def waiting() -> QuerySet[Delivery]:
    return Delivery.objects.filter(message=None, dropped="")


def gather(now: dt.datetime) -> int:
    """Make messages of what waits for people who are told at once; how many."""
    found: defaultdict[tuple[int, str], list[Delivery]] = defaultdict(list)
    daily = NoticeChoice.objects.filter(pace=Pace.DAILY).values("user")
    rows = waiting().exclude(notice__user__in=daily).select_related("notice__run")
    for one in rows.only(*OF_WAITING).order_by("notice")[:MOST_WAITING]:
        found[one.notice.user_id, one.channel].append(one)
    made = 0
    for (user, channel), deliveries in sorted(found.items()):
        is_settled = min(one.notice.at for one in deliveries) <= now - SETTLE
        if is_settled:
            made += _gather_for(user, channel, deliveries, now)
    return made


def _gather_for(user: int, channel: str, deliveries: list[Delivery], now: dt.datetime) -> int:
    left = []
    for one in sorted(deliveries, key=lambda one: one.notice_id):
        if one.notice.event == Event.STALLED and one.notice.run.is_terminal:
            _drop([one], "The run ended before this was sent.")
        else:
            left.append(one)
    lately = Message.objects.filter(user=user, channel=channel)
    singles = lately.filter(kind=Message.Kind.SINGLE, made_at__gt=now - SINGLE_WITHIN).count()
    if singles + len(left) <= MOST_SINGLE:
        return sum(_make(user, channel, Message.Kind.SINGLE, [one], now) for one in left)
    if lately.filter(kind=Message.Kind.TOGETHER, made_at__gt=now - TOGETHER_EVERY).exists():
        return 0
    return _make(user, channel, Message.Kind.TOGETHER, left, now)


def digests(now: dt.datetime) -> int:
    """Make the digests whose hour has come; how many."""
    people = NoticeChoice.objects.filter(
        pace=Pace.DAILY, user__in=waiting().values("notice__user")
    ).select_related("user")
    made = 0
    for choice in people:
        if day := choices.digest_day(choice, now):
            made += _digest(choice, day, now)
    return made


def _digest(choice: NoticeChoice, day: dt.date, now: dt.datetime) -> int:
    with transaction.atomic():
        rows = NoticeChoice.objects.filter(
            Q(digested_on=None) | Q(digested_on__lt=day), pk=choice.pk, pace=Pace.DAILY
        )
        if not rows.update(digested_on=day):
            return 0  # somebody else has just made it
        found: defaultdict[str, list[Delivery]] = defaultdict(list)
        for one in waiting().filter(notice__user=choice.pk).order_by("notice"):
            found[one.channel].append(one)
        return sum(
            _make(choice.pk, channel, Message.Kind.DIGEST, some, now)
            for channel, some in found.items()
        )


def _make(
    user: int, channel: str, kind: str, deliveries: Sequence[Delivery], now: dt.datetime
) -> int:
    """One message; 0 if somebody else has put any of these into one meanwhile."""
    if not deliveries:
        return 0
    keys = [one.pk for one in deliveries]
    with transaction.atomic():
        message = Message.objects.create(
            user_id=user, channel=channel, kind=kind, made_at=now, due_at=now
        )
        taken = Delivery.objects.filter(pk__in=keys, message=None).update(message=message)
        if taken != len(keys):
            transaction.set_rollback(True)
            return 0
    return 1


def _drop(deliveries: Sequence[Delivery], reason: str) -> None:
    keys = [one.pk for one in deliveries]
    Delivery.objects.filter(pk__in=keys, message=None).update(dropped=reason)


# Sending -------------------------------------------------------------------------------------

# One thread of a worker at a time: the others are for polls.
_sending = threading.Lock()


def send_due() -> int:
    """Send what is due, for as long as one turn lasts; how many messages were tried."""
    if not _sending.acquire(blocking=False):
        return 0
    try:
        ends_at, tried = time.monotonic() + TURN, 0
        with mail.Post() as post:
            while time.monotonic() < ends_at and (held := claim(timezone.now())) is not None:
                send(held, post)
                tried += 1
        return tried
    finally:
        _sending.release()


def is_any_due(now: dt.datetime) -> bool:
    return _due(now).exists()


def _due(now: dt.datetime) -> QuerySet[Message]:
    return Message.objects.filter(due_at__lte=now)


def claim(now: dt.datetime) -> Message | None:
    """The message that is most overdue, leased."""
    for held in _due(now).order_by("due_at")[:10]:
        row = Message.objects.filter(pk=held.pk, due_at=held.due_at)
        if row.update(due_at=now + LEASE, attempts=F("attempts") + 1):
            held.attempts += 1
            return held
    return None


def send(held: Message, post: mail.Post) -> None:
    """Send a message that was claimed, and note what came of it."""
    user = User.objects.get(pk=held.user_id)
    try:
        told = _told(held, user)
        _hand_over(held, user, told, post)
    except Undelivered as problem:
        _failed(held, user, problem)
    else:
        with transaction.atomic():
            Message.objects.filter(pk=held.pk).update(
                sent_at=timezone.now(), due_at=None, reason=""
            )
            _record(held, user, "sent", Result.OK)


def _told(held: Message, user: User) -> words.Words:
    """Raises Undelivered if there is nobody, or nothing, to be told any more."""
    if not may_be_told(user):
        raise Undelivered("The account may not see runs any more.", is_final=True)
    rules = choices.rules()
    left_out = ["output", "logs", "guidance", *([] if rules.tells_title else ["prompt"])]
    rows = held.deliveries.select_related("notice__run").order_by("notice")
    rows = rows.defer(*(f"notice__run__{name}" for name in left_out))
    notices = [one.notice for one in rows]
    if not notices:
        raise Undelivered("The note was taken back.", is_final=True)
    here = choices.zone(choices.of(user))
    return words.compose(held.kind, notices, rules, here, held.made_at)


def _hand_over(held: Message, user: User, told: words.Words, post: mail.Post) -> None:
    if held.channel == Channel.EMAIL:
        post.send(user, told, f"runsheet-{held.pk}-{held.made_at:%Y%m%d%H%M%S%f}")
    else:
        webhook.send(webhook_of(user), told)


def webhook_of(user: User) -> Secret:
    """Raises Undelivered."""
    stored = choices.of(user).webhook
    if not stored:
        raise Undelivered("No webhook is set any more.", is_final=True)
    try:
        return sealed.unseal(stored)
    except sealed.Unsealable:
        told = "The webhook was stored under another SECRET_KEY; give its address again."
        raise Undelivered(told, is_final=True) from None


def _failed(held: Message, user: User, problem: Undelivered) -> None:
    now = timezone.now()
    wait = min(FIRST_WAIT * 2 ** min(held.attempts - 1, 10), LONGEST_WAIT)
    wait = max(wait * random.uniform(0.75, 1.25), min(problem.retry_after or 0, LONGEST_WAIT))
    due_at = now + dt.timedelta(seconds=wait)
    is_over = problem.is_final or due_at > held.made_at + GIVE_UP
    with transaction.atomic():
        Message.objects.filter(pk=held.pk).update(
            due_at=None if is_over else due_at,
            given_up_at=now if is_over else None,
            reason=acts.fit(problem.sentence, "detail"),
        )
        if is_over:
            _record(held, user, f"given up: {problem.sentence}", Result.FAILED)
    logger.log(
        logging.WARNING if held.attempts == 1 or is_over else logging.INFO,
        "notice %d not sent by %s (try %d%s): %s",
        held.pk,
        held.channel,
        held.attempts,
        ", the last" if is_over else "",
        problem.sentence,
    )


def _record(held: Message, user: User, what: str, result: Result) -> None:
    """What left the house, about which runs, and to whom. One row a message."""
    runs = list(
        held.deliveries.order_by("notice").values_list("notice__run__run_id", flat=True)[:20]
    )
    is_one = len(set(runs)) == 1
    count = held.deliveries.count()
    told = f"to {user.get_username()} by {Channel(held.channel).label}, {what}"
    about = "" if is_one else f"; {count} notices: {', '.join(runs)}"
    acts.record(
        Act.NOTICE,
        run=runs[0] if is_one else "",
        page="notices",
        detail=told + about,
        result=result,
    )


# Trying it out -------------------------------------------------------------------------------


def try_out(user: User, channel: str) -> None:
    """Send a test at once. Raises Undelivered."""
    if channel == Channel.EMAIL:
        with mail.Post() as post:
            post.send(user, words.test(), f"runsheet-test-{time.time_ns()}")
    else:
        webhook.send(webhook_of(user), words.test())
