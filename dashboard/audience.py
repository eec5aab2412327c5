"""For whom a run's pages are rendered: somebody signed in, or whoever holds one share link.

The same templates serve both. They get `audience` in their context and ask it for every address,
so that a shared page cannot name a way out of its own run.
"""

from dataclasses import dataclass
from typing import ClassVar

from django.urls import reverse

from runs.models import Run


@dataclass(frozen=True, slots=True)
class Audience:
    """`link_pk` and `token` are both set for the holder of a link, both empty for staff.

    The token comes from the request (only its digest is stored) and stands in nothing but
    addresses: `key`, which names the audience in caches and logs, is made of the link's row.
    """

    link_pk: int | None = None
    token: str = ""

    # Names of pages, and the URL names behind them. A link shows no raw payload.
    STAFF: ClassVar = {
        "timeline": "run",
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
    LINK: ClassVar = {
        "timeline": "shared-run",
        "cost": "shared-cost",
        "result": "shared-result",
        "logs": "shared-logs",
        "live": "shared-live",
        "step": "shared-step",
        "step-payload": "shared-step-payload",
        "text": "shared-text",
        "log": "shared-log",
        "metadata": "shared-metadata",
    }

    @property
    def is_staff(self) -> bool:
        return self.link_pk is None

    @property
    def key(self) -> str:
        """Names the audience in caches of rendered fragments; holds no secret."""
        return "staff" if self.is_staff else f"link:{self.link_pk}"

    @property
    def base(self) -> str:
        """The template around the run's pages."""
        return "base.html" if self.is_staff else "shared/base.html"

    def may_see(self, page: str) -> bool:
        return page in (self.STAFF if self.is_staff else self.LINK)

    def url(self, page: str, run: Run, *parts: str | int) -> str:
        """The address of `page` of `run`. KeyError: this audience has no such page."""
        if self.is_staff:
            return reverse(self.STAFF[page], args=[run.run_id, *parts])
        return reverse(self.LINK[page], args=[self.token, *parts])


STAFF = Audience()
