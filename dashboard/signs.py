"""What the vitals mean: for each part whether it is well, and what to do when it is not."""

import datetime as dt
from typing import NamedTuple

from dashboard import violations
from dashboard.vitals import DEAF_AFTER, LATE_AFTER, Vitals
from runs import freshness
from runs.models import Upstream

GOOD, WARN, BAD = "good", "warn", "bad"
LAG_P99_LONG = 5.0  # seconds


class Sign(NamedTuple):
    """`advice` is "" while all is well."""

    name: str
    state: str
    told: str
    advice: str = ""


def of(vitals: Vitals) -> list[Sign]:
    return [
        _case_dev(vitals),
        _polls(vitals),
        _workers(vitals),
        _beat(vitals),
        _redis(vitals),
        _database(vitals),
        _discovery(vitals),
        _unreadable(vitals),
        _browsers(vitals),
        _notices(vitals),
    ]


def _case_dev(vitals: Vitals) -> Sign:
    name = "Case.dev"
    if vitals.record is None:
        return Sign(name, WARN, "Unknown while the database is away.")
    upstream, at = vitals.record.upstream, vitals.at
    probe = f"Next try {freshness.until(upstream.probe_at, at)}."
    match upstream.state:
        case Upstream.State.REFUSED:
            told = f"Refuses our key: {upstream.last_error.rstrip('.')}. {probe}"
            return Sign(
                name, BAD, told,
                "Set a valid CASEDEV_API_KEY and restart; if the key was mended at Case.dev, wait "
                "for the next try or restart the worker.",
            )  # fmt: skip
        case Upstream.State.DOWN:
            return Sign(
                name, BAD, f"{freshness.outage(upstream, at)}. {probe}",
                "Nothing to do here if Case.dev itself is down: polling resumes by itself. If it "
                "is up elsewhere, check this machine's network, DNS and proxy.",
            )  # fmt: skip
    if upstream.is_paused(at):
        told = f"Asked us to slow down. Next try {freshness.until(upstream.paused_until, at)}."
        return Sign(
            name, WARN, told,
            "Polls wait by themselves. If it happens often, close pages that nobody reads, or ask "
            "Case.dev for a higher limit.",
        )  # fmt: skip
    seen = freshness.clock(upstream.last_ok_at, at) if upstream.last_ok_at else "never so far"
    return Sign(name, GOOD, f"Answers. Last answer: {seen}.")


def _polls(vitals: Vitals) -> Sign:
    name, record = "Polls", vitals.record
    if record is None:
        return Sign(name, WARN, "Unknown while the database is away.")
    if record.lag is None:
        return Sign(name, WARN, f"{record.due} due, held back until Case.dev can be asked.")
    lags = vitals.told.recent if vitals.told else None
    told = f"{record.due} due, the most overdue by {record.lag} s"
    if lags and lags.p99 is not None:
        told += f"; lag of the last {lags.polls}: p50 {lags.p50:.1f} s, p99 {lags.p99:.1f} s"
    if record.lag > LATE_AFTER:
        return Sign(
            name, BAD, f"{told}.",
            "If no worker is alive, start one. If workers are alive, start another (on this or "
            "another machine): more runs are due than they can ask about.",
        )  # fmt: skip
    if record.late or (lags and lags.p99 is not None and lags.p99 > LAG_P99_LONG):
        advice = "It goes over by itself after a restart; if it stays, start another worker."
        return Sign(name, WARN, f"{told}.", advice)
    return Sign(name, GOOD, f"{told}.")


def _workers(vitals: Vitals) -> Sign:
    name = "Workers"
    if not vitals.redis.answers:
        return Sign(name, WARN, "Unknown while Redis is away.")
    if vitals.live_workers and (vitals.round_age or 0) <= DEAF_AFTER:
        told = f"{vitals.live_workers} at work"
        if not vitals.lost_workers:
            return Sign(name, GOOD, f"{told}.")
        return Sign(
            name, WARN, f"{told}; {', '.join(vitals.lost_workers)} not heard of any more.",
            "Its process was killed, or it hears nothing and will end itself within a minute: look "
            "whether another was started in its place.",
        )  # fmt: skip
    seen = "never" if vitals.round_age is None else f"{vitals.round_age} s ago"
    return Sign(
        name, BAD, f"None at work; a round last ended {seen}.",
        "Look whether the worker's process runs, and at its log. A worker that hears nothing ends "
        "itself within a minute; whatever keeps it must start it again.",
    )  # fmt: skip


def _beat(vitals: Vitals) -> Sign:
    name = "Beat"
    if not vitals.redis.answers:
        return Sign(name, WARN, "Unknown while Redis is away.")
    if vitals.round_age is not None and vitals.round_age <= DEAF_AFTER:
        return Sign(name, GOOD, "Ticks.")
    if vitals.redis.waiting:
        wait = _counted(vitals.redis.waiting, "message waits", "messages wait")
        return Sign(name, GOOD, f"Ticks: {wait} that no worker takes.")
    return Sign(
        name, BAD, "No tick comes: no message waits, and no round ends.",
        "Look whether the process of beat runs, and start it. Polling starts with its first tick.",
    )  # fmt: skip


def _redis(vitals: Vitals) -> Sign:
    known = vitals.redis
    if not known.answers:
        return Sign(
            "Redis", BAD, "Does not answer.",
            "Start it, or correct REDIS_URL. Nothing is lost with it: polling and live pages go on "
            "once it is back.",
        )  # fmt: skip
    told = f"{known.version}, {known.took_ms:.1f} ms"
    told += "" if known.clients is None else f", {_counted(known.clients, 'client')}"
    if known.waiting is not None and known.waiting > 200:
        advice = "Messages pile up: start a worker, or look why those that run take none."
        return Sign("Redis", WARN, f"{told}, {known.waiting:,} messages wait.", advice)
    return Sign("Redis", GOOD, f"{told}.")


def _database(vitals: Vitals) -> Sign:
    known = vitals.database
    if not known.answers or vitals.record is None:
        return Sign(
            "Database", BAD, "Does not answer, or lacks tables.",
            "Look at its log and its disk, then at DATABASE_URL; after an upgrade run manage.py "
            "prepare.",
        )  # fmt: skip
    slow = known.took_ms is not None and known.took_ms > 250
    told = f"{known.name}, {known.took_ms:.1f} ms."
    advice = "Slow answers: look at its load and its disk." if slow else ""
    return Sign("Database", WARN if slow else GOOD, told, advice)


def _discovery(vitals: Vitals) -> Sign:
    name, record = "Discovery", vitals.record
    walk = record.discovery if record else None
    if walk is None:
        return Sign(name, WARN, "Has not begun.", "It begins with the first round of a worker.")
    told = f"{_counted(walk.found, 'run')} found. "
    told += "" if walk.walked_at else "The first walk through the list is under way. "
    if walk.failures:
        reason = walk.last_error.rstrip(".")
        return Sign(
            name, WARN, f"{told}The list cannot be read: {reason}.",
            "It is tried again by itself. Until then new runs can be added by hand.",
        )  # fmt: skip
    last = walk.last_ok_at
    if last and vitals.at - last > dt.timedelta(minutes=2):
        advice = "If Case.dev and the workers are well, restart the worker."
        return Sign(name, WARN, f"{told}Last read {freshness.clock(last, vitals.at)}.", advice)
    seen = freshness.clock(last, vitals.at) if last else "never so far"
    return Sign(name, GOOD, f"{told}Last read: {seen}.")


def _unreadable(vitals: Vitals) -> Sign:
    name, record = "Answers", vitals.record
    if record is None:
        return Sign(name, WARN, "Unknown while the database is away.")
    if record.quarantined:
        told = f"{_counted(record.quarantined, 'run')} whose answers cannot be read or stored."
        return Sign(
            name, BAD, told,
            "Each run's page says why and keeps the bytes. After an upgrade they are tried again; "
            "an admin can lift the quarantine sooner.",
        )  # fmt: skip
    if record.failing:
        told = f"{_counted(record.failing, 'run')} whose last poll failed."
        return Sign(name, WARN, told, "They are tried again by themselves; see the errors below.")
    return Sign(name, GOOD, "All could be read.")


def _browsers(vitals: Vitals) -> Sign:
    name = "Browsers"
    if vitals.stopped is None:
        return Sign(name, WARN, "Unknown while Redis is away.")
    found = [(one, n) for one, n in vitals.stopped.lately if one.stopped != violations.EXTENSION]
    if not found:
        return Sign(name, GOOD, "Report nothing that the policy of our pages stopped.")
    (first, _), count = found[0], sum(n for _, n in found)
    told = f"Since yesterday {_counted(count, 'thing')} stopped by our policy"
    return Sign(
        name, WARN, f"{told}, most of all {first.stopped} ({first.directive}) on {first.page}.",
        "Nothing ran. Ask who was on that page whether an extension of their browser writes into "
        "pages; if not, tell whoever maintains the site: text may have got where it should not.",
    )  # fmt: skip


def _notices(vitals: Vitals) -> Sign:
    name = "Notices"
    if vitals.record is None:
        return Sign(name, WARN, "Unknown while the database is away.")
    waiting, failing, given_up, reason = vitals.record.outbox
    told = f"{waiting:,} to be sent" if waiting else "None waits to be sent"
    if not failing and not given_up:
        return Sign(name, GOOD, f"{told}.")
    told = f"{told}, {failing:,} tried in vain so far; {given_up:,} given up in the last day."
    return Sign(
        name, WARN, f"{told} Last: {reason}",
        "If it is the mail server, look at EMAIL_URL and at the server; people see the same on "
        "their page of notices. Each is tried for a day.",
    )  # fmt: skip


def worst(signs: list[Sign]) -> str:
    states = {sign.state for sign in signs}
    return BAD if BAD in states else WARN if WARN in states else GOOD


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
