"""Rendered pieces of pages, shared by all streams that need the same one."""

import asyncio
import logging
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

# What the piece is, of which row, from and to which version, for whom.
type Key = tuple[Any, ...]


class Part(NamedTuple):
    name: str
    html: str


# Name and digest of each part that a browser has, in order; () if that is not known.
type Parts = tuple[tuple[str, bytes], ...]


class Having:
    """Parts that browsers have. A thousand that have the same share one object, so that it is told
    from others by what it is, and neither compared nor hashed for each of them."""

    __slots__ = ("parts",)

    def __init__(self, parts: Parts) -> None:
        self.parts = parts


having = lru_cache(maxsize=10_000)(Having)
NOTHING = having(())


@dataclass(frozen=True, slots=True)
class Rendering:
    """`frame` is ready to be sent; `version` is the one that the database held meanwhile, and
    `have` is what a browser has after it, by digests (see run_pieces). Or `parts`, of which each
    browser is sent those that it lacks."""

    version: int
    frame: bytes
    have: Having = NOTHING
    is_lasting: bool = True  # false: asked for too early, so the next who asks has it made anew
    parts: tuple[Part, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.frame) + sum(sys.getsizeof(part.html) for part in self.parts)


type Made = dict[Key, Rendering]
type Render = Callable[[Sequence[Key]], Awaitable[Made]]


class Making:
    """A rendering under way, for which any number may wait; a thousand waiters cost little."""

    __slots__ = ("done", "error", "made")

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.made: Made = {}
        self.error: Exception | None = None

    async def result(self) -> Made:
        await self.done.wait()
        if self.error:
            raise self.error
        return self.made


class Renderings:
    """Each key is rendered once, however many ask at the same time, and kept while there is room.

    `count` and `octets` bound what is kept; a piece bigger than `octets` is handed to those who
    wait for it and then forgotten.
    """

    def __init__(self, count: int = 2_000, octets: int = 32_000_000) -> None:
        self._count, self._octets, self._held = count, octets, 0
        self._kept: OrderedDict[Key, Rendering] = OrderedDict()
        self._under_way: dict[Key, Making] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.rendered = 0  # pieces made since the start

    async def get(self, key: Key, render: Render) -> Rendering | None:
        if (kept := self._kept.get(key)) is not None:
            return kept
        making = self._under_way.get(key) or self._start([key], render)
        return (await making.result()).get(key)

    async def get_many(self, keys: Sequence[Key], render: Render) -> Made:
        """Those of `keys` that could be rendered; what nobody has yet is asked for in one call.

        Raises what `render` raised, to all who waited for it.
        """
        found: Made = {}
        waiting: dict[Key, Making] = {}
        missing: list[Key] = []
        for key in keys:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                found[key] = kept
            elif (making := self._under_way.get(key)) is not None:
                waiting[key] = making
            else:
                missing.append(key)
        if missing:
            waiting |= dict.fromkeys(missing, self._start(missing, render))
        for key, making in waiting.items():
            if (rendering := (await making.result()).get(key)) is not None:
                found[key] = rendering
        return found

    def _start(self, keys: list[Key], render: Render) -> Making:
        """In a task of its own: a browser that leaves must not take the piece from the others."""
        making = Making()
        self._under_way |= dict.fromkeys(keys, making)
        task = asyncio.create_task(self._make(making, keys, render), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return making

    async def _make(self, making: Making, keys: list[Key], render: Render) -> None:
        try:
            making.made = await render(keys)
            self.rendered += len(making.made)
            self._keep(making.made)
        except Exception as error:
            # Of the key only kind and row: an audience knows a link's token.
            logger.exception("live piece not rendered: %s", keys[0][:2])
            making.error = error
        finally:
            for key in keys:
                del self._under_way[key]
            making.done.set()

    def _keep(self, made: Made) -> None:
        lasting = {key: rendering for key, rendering in made.items() if rendering.is_lasting}
        self._kept |= lasting
        self._held += sum(rendering.size for rendering in lasting.values())
        while self._kept and (len(self._kept) > self._count or self._held > self._octets):
            _, dropped = self._kept.popitem(last=False)
            self._held -= dropped.size
