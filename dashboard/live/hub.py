"""The hub: what is looked at in this web process, and the waking of those who look.

Streams never queue anything. Each knows what its browser has; the hub knows what there is; a
woken stream sends the difference. A slow browser is therefore sent the newest state when it can
take more, and costs nothing until then.
"""

import asyncio
import gc
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from itertools import count
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from django.db import close_old_connections

from dashboard import garbage, rows
from dashboard.live import sight, viewers
from dashboard.live.renderings import Renderings
from dashboard.live.viewers import Viewer
from runs import gauges, notices

logger = logging.getLogger(__name__)

# Seconds.
LOOK_EVERY = 1.0  # ask the database what changed, in case no notice came
LOOK_AT_LISTS_EVERY = 2.0
ATTEND_EVERY = 5.0  # a watched mark lives for 15
CHECK_VIEWERS_EVERY = 4.0  # so that a withdrawn link is dark within 5
BEAT_EVERY = 15.0
COLLECT_EVERY = 20.0  # garbage
SLOW_EVERY = 2.0  # between two pictures of one run, tables of its costs and the like
LONGEST_RETRY = 10.0  # between attempts to listen to Redis

MOST_STREAMS = 5_000
MOST_STREAMS_A_LINK = 50  # a link may be passed on; its holders must not use up all the room


class Full(Exception):
    """No room for another stream; the message is for people."""


class Listener(Protocol):
    """An open stream, as the hub sees it."""

    viewer: Viewer
    is_page: bool  # of one run; else a list of runs
    beat_due: bool
    end_reason: str  # "" while it goes on; else "withdrawn", "left" or "failed"
    wake: asyncio.Event

    def changed(self, run: int) -> None:
        """Something of this run changed; called very often, so it only takes a note."""


class Topic:
    """One run that somebody looks at."""

    __slots__ = (
        *("is_over", "listeners", "number", "numbered_at", "numbered_version", "pages", "remark"),
        *("run", "saying", "version"),
    )

    def __init__(self, run: int, version: int, number: int) -> None:
        self.run = run
        self.version = version  # the newest that we have heard of
        self.is_over = False
        self.remark = ""
        self.saying: sight.Saying | None = None
        self.number = number  # rises when what follows slowly has to follow
        self.numbered_version = version
        self.numbered_at = -math.inf
        self.listeners: set[Listener] = set()
        self.pages = 0  # how many of the listeners are pages of this run

    @property
    def is_numbered(self) -> bool:
        """What follows slowly is up to date."""
        return self.numbered_version == self.version

    def wake(self) -> None:
        for listener in self.listeners:
            listener.changed(self.run)
            listener.wake.set()


class Round(NamedTuple):
    pause: float
    act: Callable[[], Awaitable[None]]


class Hub:
    """Belongs to one event loop. Starts with the first stream, rests when the last is gone."""

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}
        self.listeners: set[Listener] = set()
        self.of_link: Counter[int] = Counter()  # listeners who came by a link
        self.renderings = Renderings()
        self.newest_run = 0
        self.site: sight.Saying | None = None
        # Numbers name renderings in a cache that outlives topics, so none is used twice.
        self._numbers = count(1)
        self.site_number = next(self._numbers)
        self.hears_redis = False
        self._tasks: list[asyncio.Task[None]] = []
        self._look_now = asyncio.Event()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="live")

    async def in_thread[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run what asks the database in one of the hub's own threads, with a connection of its."""

        def run() -> T:
            close_old_connections()
            try:
                return function(*args, **kwargs)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    # Streams come and go ------------------------------------------------------------------

    def check_room(self, viewer: Viewer) -> None:
        """Raises Full. Called in the threads of requests."""
        if len(self.listeners) >= MOST_STREAMS:
            raise Full("This server has no room for another live page.")
        if viewer.link_pk is not None and self.of_link[viewer.link_pk] >= MOST_STREAMS_A_LINK:
            raise Full("This link has too many live pages open.")

    def enter(self, listener: Listener, versions: dict[int, int]) -> list[Topic]:
        """`versions`: the runs that the stream is about, at the versions the database has."""
        self.listeners.add(listener)
        if listener.viewer.link_pk is not None:
            self.of_link[listener.viewer.link_pk] += 1
        topics = []
        for run, version in versions.items():
            topic = self.topics.get(run)
            if topic is None:
                topic = self.topics[run] = Topic(run, version, next(self._numbers))
            topic.version = max(topic.version, version)
            topic.listeners.add(listener)
            topic.pages += listener.is_page
            topics.append(topic)
        if not self._tasks:
            garbage.leave_old(to_us=True)
            # Not in the context of the first stream's request, which they would keep alive.
            self._tasks = [
                asyncio.create_task(work, context=Context())
                for work in (self._listen(), self._go_round())
            ]
        return topics

    def leave(self, listener: Listener, runs: Iterable[int]) -> None:
        self.listeners.discard(listener)
        if (link := listener.viewer.link_pk) is not None:
            self.of_link[link] -= 1
            if not self.of_link[link]:
                del self.of_link[link]
        for run in runs:
            topic = self.topics[run]
            topic.listeners.discard(listener)
            topic.pages -= listener.is_page
            if not topic.listeners:
                del self.topics[run]
        if not self.listeners:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self.hears_redis = False
            garbage.leave_old(to_us=False)

    def _end(self, listeners: Iterable[Listener], reason: str) -> None:
        for listener in listeners:
            listener.end_reason = listener.end_reason or reason
            listener.wake.set()

    def _wake_all(self) -> None:
        for listener in self.listeners:
            listener.wake.set()

    # News comes in ------------------------------------------------------------------------

    def hear(self, notice: notices.Notice) -> None:
        """A hint that a run has a new version, or (run 0) that Case.dev's own state changed."""
        if notice.run == 0:
            self._look_now.set()
            return
        topic = self.topics.get(notice.run)
        if topic is not None and notice.version > topic.version:
            topic.version = notice.version
            self._number_if_due(topic)
            topic.wake()

    def _number_if_due(self, topic: Topic) -> bool:
        now = time.monotonic()
        is_due = not topic.is_numbered and now - topic.numbered_at >= SLOW_EVERY
        if is_due:
            self._number(topic)
        return is_due

    def _number(self, topic: Topic) -> None:
        topic.number = next(self._numbers)
        topic.numbered_version, topic.numbered_at = topic.version, time.monotonic()

    def trust(self, run: int, believed: int, actual: int) -> None:
        """The database held `actual` where a hint had said `believed`."""
        topic = self.topics.get(run)
        if actual < believed and topic is not None and topic.version == believed:
            topic.version = actual  # wrong, or too early: the next look tells

    async def _listen(self) -> None:
        retry = 0.5
        while True:
            try:
                async with notices.listening() as heard:
                    retry, self.hears_redis = 0.5, True
                    self._look_now.set()  # for what was said while nobody listened
                    async for notice in heard:
                        self.hear(notice)
            except Exception as error:  # noqa: BLE001 - whatever it is, the rounds find what we miss
                logger.warning("no change notices for %.1f s: %s", retry, type(error).__name__)
            self.hears_redis = False
            await asyncio.sleep(retry)
            retry = min(retry * 2, LONGEST_RETRY)

    # Every few seconds, for all streams at once --------------------------------------------

    async def _go_round(self) -> None:
        rounds = (
            Round(LOOK_EVERY, self._look_at_pages),
            Round(LOOK_AT_LISTS_EVERY, self._look_at_lists),
            Round(ATTEND_EVERY, self._attend),
            Round(CHECK_VIEWERS_EVERY, self._check_viewers),
            Round(BEAT_EVERY, self._beat),
            Round(COLLECT_EVERY, self._collect),
        )
        start = time.monotonic()
        due = [start, start, start, *(start + pause for pause, _ in rounds[3:])]
        while True:
            if self._look_now.is_set():
                self._look_now.clear()
                due[:2] = [0.0, 0.0]
            for number, (pause, act) in enumerate(rounds):
                if (now := time.monotonic()) < due[number]:
                    continue
                due[number] = now + pause
                try:
                    await act()
                except Exception:  # the database may be away; streams stay open until it is back
                    logger.exception("live round failed: %s", act.__name__)
            try:
                async with asyncio.timeout(max(0.0, min(due) - time.monotonic())):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    async def _look_at_pages(self) -> None:
        pages = [run for run, topic in self.topics.items() if topic.pages]
        seen = await self.in_thread(sight.look, pages)
        if seen.site.differs_from(self.site):
            self.site, self.site_number = seen.site, next(self._numbers)
            self._wake_all()
        for state in seen.states:
            self._learn(state)

    async def _look_at_lists(self) -> None:
        if all(listener.is_page for listener in self.listeners):
            return
        listed = [run for run, topic in self.topics.items() if not topic.pages]
        seen = await self.in_thread(sight.look, listed)
        newest = await self.in_thread(rows.newest)
        if newest != self.newest_run:
            self.newest_run = newest
            self._wake_all()
        for state in seen.states:
            self._learn(state)

    def _learn(self, state: sight.State) -> None:
        topic = self.topics.get(state.run)
        if topic is None:
            return
        is_news = (
            state.version > topic.version
            or state.is_over != topic.is_over
            or state.remark != topic.remark
        )
        topic.version = max(topic.version, state.version)
        topic.is_over, topic.remark = state.is_over, state.remark
        if state.freshness.differs_from(topic.saying):
            topic.saying = state.freshness
            self._number(topic)
            is_news = True
        if self._number_if_due(topic) or is_news:
            topic.wake()

    async def _attend(self) -> None:
        watched = [run for run, topic in self.topics.items() if topic.pages and not topic.is_over]
        await self.in_thread(notices.keep_watching, watched)

    async def _check_viewers(self) -> None:
        present = {listener.viewer for listener in self.listeners}
        gone = present - await self.in_thread(viewers.still_allowed, present)
        self._end([one for one in self.listeners if one.viewer in gone], "withdrawn")

    async def _beat(self) -> None:
        await self.in_thread(gauges.web_told, census().streams)
        for listener in self.listeners:
            listener.beat_due = True
            listener.wake.set()

    async def _collect(self) -> None:
        """Between two changes as a rule, and not while all streams are sent one."""
        gc.collect()


class Census(NamedTuple):
    """What the hubs of this process hold now, and how many pieces they have rendered so far."""

    streams: int
    runs: int
    rendered: int


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()
_making = threading.Lock()


def of(loop: asyncio.AbstractEventLoop) -> Hub:
    """The hub of that loop; may be asked for in any thread."""
    with _making:
        if loop not in _hubs:
            _hubs[loop] = Hub()
        return _hubs[loop]


def census() -> Census:
    hubs = list(_hubs.values())
    return Census(
        streams=sum(len(one.listeners) for one in hubs),
        runs=sum(len(one.topics) for one in hubs),
        rendered=sum(one.renderings.rendered for one in hubs),
    )
