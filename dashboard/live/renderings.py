"""Rendered pieces of pages, shared by all streams that need the same one."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

# What the piece is, of which row, from and to which version, for whom.
type Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rendering:
    """`frame` is ready to be sent; `version` is the one that the database held meanwhile, and
    `parts` is what a browser has after it, by digests (see run_pieces)."""

    version: int
    frame: bytes
    parts: tuple[tuple[str, bytes], ...] = ()
    is_lasting: bool = True  # false: asked for too early, so the next who asks has it made anew


type Made = dict[Key, Rendering]
type Render = Callable[[Sequence[Key]], Awaitable[Made]]


class Renderings:
    """Each key is rendered once, however many ask at the same time, and kept while there is room.

    `count` and `octets` bound what is kept; a piece bigger than `octets` is handed to those who
    wait for it and then forgotten.
    """

    def __init__(self, count: int = 2_000, octets: int = 32_000_000) -> None:
        self._count, self._octets, self._held = count, octets, 0
        self._kept: OrderedDict[Key, Rendering] = OrderedDict()
        self._under_way: dict[Key, asyncio.Task[Made]] = {}
        self.rendered = 0  # pieces made since the start

    async def get(self, key: Key, render: Render) -> Rendering | None:
        if (kept := self._kept.get(key)) is not None:
            return kept
        return (await self.get_many([key], render)).get(key)

    async def get_many(self, keys: Sequence[Key], render: Render) -> Made:
        """Those of `keys` that could be rendered; what nobody has yet is asked for in one call.

        Raises what `render` raised, to all who waited for it.
        """
        found: Made = {}
        waiting: dict[Key, asyncio.Task[Made]] = {}
        missing: list[Key] = []
        for key in keys:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                found[key] = kept
            elif (task := self._under_way.get(key)) is not None:
                waiting[key] = task
            else:
                missing.append(key)
        if missing:
            task = asyncio.create_task(self._make(missing, render), context=Context())
            self._under_way |= dict.fromkeys(missing, task)
            waiting |= dict.fromkeys(missing, task)
        for key, making in waiting.items():
            # Shielded: a browser that leaves must not take the piece from all the others.
            made = await asyncio.shield(making)
            if key in made:
                found[key] = made[key]
        return found

    async def _make(self, keys: list[Key], render: Render) -> Made:
        try:
            made = await render(keys)
        except Exception:
            # Of the key only kind and row: an audience knows a link's token.
            logger.exception("live piece not rendered: %s", keys[0][:2])
            raise
        finally:
            for key in keys:
                self._under_way.pop(key, None)
        self.rendered += len(made)
        for key, rendering in made.items():
            if rendering.is_lasting:
                self._keep(key, rendering)
        return made

    def _keep(self, key: Key, rendering: Rendering) -> None:
        self._kept[key] = rendering
        self._held += len(rendering.frame)
        while self._kept and (len(self._kept) > self._count or self._held > self._octets):
            _, dropped = self._kept.popitem(last=False)
            self._held -= len(dropped.frame)
