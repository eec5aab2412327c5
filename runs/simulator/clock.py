"""Where the simulator gets the time. All moments are integer milliseconds since the epoch."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

LONGEST_PAUSE_S = 0.25  # a sleeper must notice within this time that its run was cancelled
MANUAL_TICK_S = 0.01  # how often a sleeper looks whether a manual clock was moved


class Clock(Protocol):
    """Source of "now", and of the wait for a later "now"."""

    def now_ms(self) -> int: ...

    async def pause(self, until_ms: int | None) -> None:
        """Wait until about `until_ms`, or shorter; the caller looks again and may call again."""
        ...


class WallClock:
    """The machine's own time. `--speed` does not bend it: it shortens the runs instead."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def pause(self, until_ms: int | None) -> None:
        wait = LONGEST_PAUSE_S
        if until_ms is not None:
            wait = min(wait, max(0.0, (until_ms - self.now_ms()) / 1000))
        await asyncio.sleep(wait)


class ManualClock:
    """Time that stands still until a test moves it."""

    def __init__(self, start: datetime = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)) -> None:
        self._now_ms = int(start.timestamp() * 1000)

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, seconds: float) -> int:
        """Move forward; time never goes back here. Returns the new time in milliseconds."""
        if seconds < 0:
            raise ValueError("a clock only moves forward")
        self._now_ms += round(seconds * 1000)
        return self._now_ms

    async def pause(self, until_ms: int | None) -> None:
        await asyncio.sleep(MANUAL_TICK_S)


def iso(moment_ms: int) -> str:
    """RFC 3339 in UTC. Whole seconds carry no fraction, so both documented forms occur."""
    seconds, millis = divmod(moment_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


def iso_or_none(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else iso(moment_ms)
