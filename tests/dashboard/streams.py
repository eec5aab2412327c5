"""Changes of a run that streams bring, and how a stream is asked for and read."""

from runs import notices
from runs.models import Run
from tests.eventstream import EventStream
from tests.factories import make_steps


def change(run: Run, steps: int = 0, tell: bool = True, **fields: object) -> None:
    """What a sync does: new rows under a new version, and a notice once they are there."""
    run.version += 1
    if steps:
        make_steps(run, steps)
    Run.objects.filter(pk=run.pk).update(version=run.version, **fields)
    if tell:
        notices.publish([notices.Notice(run.pk, run.version)])


def live(site: str, run: Run, since: int | None = None, tab: str = "timeline") -> str:
    since = run.version if since is None else since
    return f"{site}/runs/{run.run_id}/live/?since={since}&tab={tab}"


def steps_in(stream: EventStream) -> list[str]:
    """Ids of the lines that came, in their order."""
    return [piece.partition('"')[0] for piece in stream.html.split('<li id="')[1:]]
