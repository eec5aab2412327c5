"""Links to test with: a run that has something on each shared page, and the token of a link."""

import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from dashboard import sharing
from dashboard.disclosure.rules import EVERYTHING
from dashboard.models import ShareLink
from runs.models import Run
from tests.conftest import account
from tests.factories import make_entries, make_run, make_steps

PAGES = ("", "cost/", "result/", "logs/", "steps/1/", "steps/2/")
DOWNLOADS = ("steps/2/input/", "text/prompt/", "text/output/", "logs/1/", "cost/1/metadata/")
PURPOSE = "For opposing counsel"


def full_run(status: str = "completed", **fields: object) -> Run:
    texts = {
        "output": "# Memo\n\n[The rule](https://court.example/)",
        "logs": [["runner", "started"]],
        "summary": "Done.",
    }
    run = make_run(status, **(texts | fields))
    make_steps(run, 3)
    make_entries(run, 2, metadata='{"tier": 1}')
    return run


def share(run: Run, by: User, days: int = 7, **chosen: Any) -> str:
    """The token of a new link, which shows everything unless told otherwise."""
    return sharing.create(run, by, PURPOSE, days, **({"shows": EVERYTHING} | chosen))[1]


def only_link() -> ShareLink:
    return ShareLink.objects.get()


def wrong_tokens(member: User) -> dict[str, str]:
    """A token for each reason that one opens nothing, by the reason."""
    run = full_run()
    expired, revoked, good = share(run, member), share(run, member), share(run, member)
    left = share(run, account("leaver", "member"))
    ended = link_of(expired)
    ended.expires_at = timezone.now() - dt.timedelta(seconds=1)
    ended.save()
    sharing.revoke(link_of(revoked), member)
    User.objects.filter(username="leaver").update(is_active=False)
    return {
        "unknown": "A" * 43,
        "expired": expired,
        "revoked": revoked,
        "its creator is disabled": left,
        "short": "A",
        "long": "A" * 5_000,
        "cut": good[:-1],
        "other case": good.swapcase(),
        "with a tail": f"{good}x",
        "quoted": "%00%ff'\"%3Cscript%3E",
        "digest": sharing.digest(good).hex(),
        "run id": run.run_id,
        "no token": "",
    }


def link_of(token: str) -> ShareLink:
    return ShareLink.objects.get(token_digest=sharing.digest(token))
