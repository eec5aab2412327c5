"""What browsers hold open: the stream of one run's page, and the stream of a list of runs.

A stream knows what its browser has and sends the difference whenever it is woken. Between two
frames it holds no database connection, no thread and nothing of the request.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from dashboard.audience import Audience
from dashboard.live import fragments, sse
from dashboard.live.hub import Hub, Topic
from dashboard.live.renderings import NOTHING, Key, Made
from dashboard.live.run_pieces import Page, shape
from dashboard.live.viewers import Viewer
from runs.models import Run

LIST_PAUSE = 0.25  # seconds between two frames of one list: many runs move at once
LATER = 0.2  # seconds from what is sent at once to the first turn for what can wait
TURNS = 1_000  # a second, in which streams are sent that


class Turn(Enum):
    NONE, WAITED_FOR, COME = range(3)


class Stream(ABC):
    """What both kinds share: being woken, beating, and ending."""

    __slots__ = (
        *("beat_due", "end_reason", "hub", "site_number", "turn", "versions", "viewer", "wake"),
    )

    is_page = False

    def __init__(self, hub: Hub, viewer: Viewer, versions: dict[int, int]) -> None:
        """`versions`: what the database had of the runs that the stream is about."""
        self.hub, self.viewer, self.versions = hub, viewer, versions
        self.wake = asyncio.Event()
        self.beat_due = True
        self.end_reason = ""
        self.site_number = 0
        self.turn = Turn.NONE

    async def frames(self) -> AsyncGenerator[bytes]:
        runs = [topic.run for topic in self.hub.enter(self, self.versions)]
        self.versions = {}  # a list of rows, a thousand times: worth forgetting
        try:
            while not self.end_reason:
                if frame := await self.news_or_end():
                    yield frame
                    await asyncio.sleep(0)  # the other streams' turn, before what comes next here
                elif self.is_finished():
                    yield sse.event("end", "over")
                    return
                elif not self.end_reason:
                    await self.wake.wait()
                    self.wake.clear()
            if self.end_reason == "withdrawn":
                yield sse.event("gone", self.end_reason)
        finally:
            self.hub.leave(self, runs)

    def leave(self) -> None:
        """The browser is gone."""
        self.end_reason = "left"
        self.wake.set()

    def changed(self, run: int) -> None:  # noqa: B027 - only lists take a note
        """Nothing to note: the stream compares versions."""

    def is_finished(self) -> bool:
        return False

    async def news_or_end(self) -> bytes:
        """All that the browser does not have yet. When that cannot be rendered the stream ends."""
        try:
            frame = await self.news()
            if self.lacks_later() and self.is_its_turn():
                frame += await self.later()
            return frame + self.beat()
        except Exception:  # noqa: BLE001 - logged where it was rendered, not by every stream
            self.end_reason = self.end_reason or "failed"
            return b""

    @abstractmethod
    async def news(self) -> bytes:
        """What the browser does not have yet of what is to be sent at once."""

    def lacks_later(self) -> bool:
        """Whether the browser lacks anything that can wait."""
        return self.lacks_site()

    async def later(self) -> bytes:
        """What the browser does not have yet of what can wait."""
        return await self.site() if self.lacks_site() else b""

    def is_its_turn(self) -> bool:
        """Whether what can wait is sent now. The streams take turns, each at a moment by chance:
        if all were sent it at once, a change that comes meanwhile would wait behind it."""
        if self.turn is Turn.COME:
            self.turn = Turn.NONE
            return True
        if self.turn is Turn.NONE:
            self.turn = Turn.WAITED_FOR
            wait = LATER + random.random() * len(self.hub.listeners) / TURNS
            asyncio.get_running_loop().call_later(wait, self.take_turn)
        return False

    def take_turn(self) -> None:
        self.turn = Turn.COME
        self.wake.set()

    def lacks_site(self) -> bool:
        """Holders of a link are not told how fresh the whole site is."""
        return self.viewer.link_pk is None and self.site_number != self.hub.site_number

    async def site(self) -> bytes:
        self.site_number = self.hub.site_number
        return await self.piece("site", self.site_number)

    def beat(self) -> bytes:
        is_due, self.beat_due = self.beat_due, False
        return sse.beat(time.time()) if is_due else b""

    async def piece(self, *key: object) -> bytes:
        rendering = await self.hub.renderings.get(key, self.render)
        return rendering.frame if rendering else b""

    async def render(self, keys: Sequence[Key]) -> Made:
        return await self.hub.in_thread(fragments.render, keys)


class PageStream(Stream):
    """The stream of a page of one run, whoever looks at it."""

    __slots__ = ("number", "run", "sent")

    is_page = True

    def __init__(self, hub: Hub, viewer: Viewer, run: Run, since: int) -> None:
        super().__init__(hub, viewer, {run.pk: run.version})
        self.run, self.sent = run.pk, since
        self.number = 0

    def is_finished(self) -> bool:
        topic = self.hub.topics[self.run]
        has_all = topic.version <= self.sent and self.number == topic.number
        return topic.is_over and has_all and topic.is_numbered

    def lacks_later(self) -> bool:
        return self.number != self.hub.topics[self.run].number or self.lacks_site()


class RunStream(PageStream):
    """That of somebody signed in."""

    __slots__ = ("painted", "quick_have", "remark", "shape", "slow_have")

    def __init__(
        self,
        hub: Hub,
        viewer: Viewer,
        run: Run,
        since: int,
        page: Page,
        audience: Audience,
        is_again: bool,
    ) -> None:
        super().__init__(hub, viewer, run, since)
        self.shape = shape(page, audience)
        # A page that was just made lacks nothing but later news of its freshness. One whose stream
        # broke off can have the version without the slow parts, which follow under no number.
        self.painted = since if since == run.version and not is_again else -1
        self.quick_have = self.slow_have = NOTHING
        self.remark: str | None = None

    async def news(self) -> bytes:
        topic = self.hub.topics[self.run]
        if topic.version > self.sent:
            self.remark = topic.remark
            return await self.quick(topic.version)
        if self.remark != topic.remark and topic.saying is not None:  # it was looked at
            self.remark = topic.remark
            state = (self.sent, topic.remark, topic.number)
            return await self.piece("head", self.run, state, self.shape)
        return b""

    async def later(self) -> bytes:
        topic = self.hub.topics[self.run]
        frame = await self.slow(topic) if self.number != topic.number else b""
        return frame + await super().later()

    async def quick(self, target: int) -> bytes:
        """From what the browser has to `target`, or further if the database already is."""
        key = ("quick", self.run, target, self.sent, self.quick_have, self.shape)
        rendering = await self.hub.renderings.get(key, self.render)
        if rendering is None:  # deleted by hand; nothing more can be said of it
            self.end_reason = self.end_reason or "withdrawn"
            return b""
        self.hub.trust(self.run, target, rendering.version)
        self.sent, self.quick_have = rendering.version, rendering.have
        return rendering.frame

    async def slow(self, topic: Topic) -> bytes:
        is_first, self.number = self.number == 0, topic.number
        if is_first and topic.numbered_version <= self.painted:
            return await self.piece("fresh", self.run, topic.number, self.shape)
        key = ("slow", self.run, topic.number, self.slow_have, self.shape)
        rendering = await self.hub.renderings.get(key, self.render_slow)
        if rendering is None:
            return b""
        self.slow_have = rendering.have
        return rendering.frame

    async def render_slow(self, keys: Sequence[Key]) -> Made:
        """Browsers come to what follows slowly from where each was. The parts are the same for
        all, so they are rendered once; what is told apart is which of them to send."""
        ((_, run, number, _, shape),) = keys
        key = ("slow parts", run, number, shape)
        whole = await self.hub.renderings.get(key, self.render)
        return await self.hub.in_thread(fragments.lacking, keys[0], whole) if whole else {}


class Shown(NamedTuple):
    """A row as a browser has it."""

    version: int
    remark: str


# A thousand lists show the same rows: they share what they know of them.
shown_as = lru_cache(maxsize=100_000)(Shown)


class ListStream(Stream):
    """The stream of all rows on one page."""

    __slots__ = ("columns", "dirty", "newest", "next_at", "seen_run", "shown")

    def __init__(
        self,
        hub: Hub,
        viewer: Viewer,
        shown: dict[int, int],
        versions: dict[int, int],
        seen_run: int,
        columns: tuple[str, ...],
    ) -> None:
        """`shown`: the versions that the browser has, by key; `columns`: those of its rows.

        `seen_run` is the highest key of a run when the page was made; later ones are news.
        """
        super().__init__(hub, viewer, versions)
        self.shown = {run: shown_as(shown[run], "") for run in versions}
        self.dirty = set(versions)
        self.seen_run = self.newest = seen_run
        self.next_at = 0.0
        self.columns = columns

    def changed(self, run: int) -> None:
        self.dirty.add(run)

    async def news(self) -> bytes:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self.next_at - now())
        frame = await self.rows() + await self.arrivals()
        if frame:
            self.next_at = now() + LIST_PAUSE
        return frame

    async def rows(self) -> bytes:
        wanted: list[Key] = []
        for run in self.dirty:
            topic, shown = self.hub.topics[run], self.shown[run]
            if topic.version > shown.version or topic.remark != shown.remark:
                state = (topic.version, topic.remark, topic.number)
                wanted.append(("row", run, state, self.columns))
        self.dirty.clear()
        if not wanted:
            return b""
        made = await self.hub.renderings.get_many(wanted, self.render)
        for (_, run, (target, remark, _), _), rendering in made.items():
            self.hub.trust(run, target, rendering.version)
            self.shown[run] = shown_as(rendering.version, remark)
        return b"".join(rendering.frame for rendering in made.values())

    async def arrivals(self) -> bytes:
        if self.hub.newest_run <= self.newest:
            return b""
        self.newest = self.hub.newest_run
        return await self.piece("arrivals", self.seen_run, self.newest)
