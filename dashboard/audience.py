"""For whom a run's pages are rendered: somebody signed in. The holder of a share link is given
pages of their own (`dashboard.shared_pages`), which know no run and reach none of these.

Templates get `audience` in their context and ask it for every address.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from django.urls import reverse

from runs.models import Run


# A page asks for hundreds, and for the same ones again as often as it changes.
@lru_cache(maxsize=4096)
def _address(name: str, *parts: str | int) -> str:
    return reverse(name, args=parts)


@dataclass(frozen=True, slots=True)
class Audience:
    # Names of pages, and the URL names behind them.
    PAGES: ClassVar = {
        "timeline": "run",
        "read": "run-read",
        "cost": "run-cost",
        "result": "run-result",
        "logs": "run-logs",
        "raw": "run-raw",
        "live": "run-live",
        "step": "step",  # + position
        "step-payload": "step-payload",  # + position, "input" | "output" | "content"
        "text": "run-text",  # + "prompt" | "guidance" | "output" | "summary"
        "log": "run-log",  # + number of the log, from 1
        "metadata": "entry-metadata",  # + position of the entry
        "share": "share-run",
    }
    is_staff: ClassVar = True
    key: ClassVar = "staff"  # names the audience in caches of rendered fragments
    base: ClassVar = "base.html"  # the template around the run's pages

    def may_see(self, page: str) -> bool:
        return page in self.PAGES

    def url(self, page: str, run: Run, *parts: str | int) -> str:
        """The address of `page` of `run`. KeyError: there is no such page."""
        return _address(self.PAGES[page], run.run_id, *parts)


STAFF = Audience()
