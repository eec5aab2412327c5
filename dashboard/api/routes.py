"""The addresses of the API. Answers are encoded as they are made; the schemas describe them."""

import logging
from collections.abc import Callable
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from ninja import NinjaAPI, Query
from ninja.errors import ValidationError

from dashboard import cost_page, filters
from dashboard.api import schemas
from dashboard.api.bearer import Bearer
from dashboard.api.models import ApiToken
from dashboard.api.problems import Problem, answer
from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.exports import shapes
from dashboard.notices import follows
from dashboard.sizes import Octets
from runs import agents, costs, discovery
from runs.casedev.errors import CaseDevError, NotFound
from runs.models import Run, Step, UsageEntry

logger = logging.getLogger(__name__)

LARGEST_PAGE = 4_000_000  # bytes of steps in one answer, unless one step alone has more
READ, ADD = Bearer("read"), Bearer("add")
ABOUT = """
What the pages of Runsheet show, for a team's own tools. Money is whole micro-dollars, of which a
dollar has 1,000,000; times are UTC; null means that Case.dev gave no value.

Lists are windows: an answer with a “next” has more behind it. Errors are problem details
(RFC 9457). A token may come 300 times a minute; each look and act is in the audit log.
"""
PROBLEMS = dict.fromkeys((401, 403, 422, 429), schemas.ProblemDetails)
OF_RUN = PROBLEMS | {404: schemas.ProblemDetails}

api = NinjaAPI(
    title="Runsheet API",
    version="1",
    description=ABOUT,
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
    auth=READ,
)


@api.get(
    "/me",
    response={200: schemas.Me, **PROBLEMS},
    url_name="me",
    summary="Who the token acts for",
    tags=["Token"],
)
def me(request: HttpRequest) -> HttpResponse:
    """Who the token acts for, and what it was made for."""
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    return _json(
        {
            "user": token.user.get_username(),
            "token": token.name,
            "scopes": token.scopes,
            "expires_at": token.expires_at,
        }
    )


@api.get(
    "/runs",
    response={200: schemas.RunPage, **PROBLEMS},
    url_name="runs",
    summary="Runs, by the filters of the list",
    tags=["Runs"],
)
def list_runs(request: HttpRequest, query: Query[schemas.ListQuery]) -> HttpResponse:
    """Runs by the filters and orders of the list page."""
    now = timezone.now()
    asked = filters.read(request.GET, now)
    if asked.complaints:
        raise Problem(422, "Some of the query cannot be.", asked.complaints)
    page, matched, most = filters.answer(asked, query.limit, now)
    names = agents.names(run.agent_id for run in page.runs)
    return _json(
        {
            "runs": [
                shapes.of_listed_run(run, names.get(run.agent_id or ""), _as_of(run))
                for run in page.runs
            ],
            "matched": min(matched, most),
            "matched_is_exact": matched <= most,
            "next": page.next.encode() if page.next else None,
        }
    )


@api.post(
    "/runs",
    auth=ADD,
    response={201: schemas.WholeRun, 502: schemas.ProblemDetails, **OF_RUN},
    url_name="runs",
    summary="Add a run",
    tags=["Runs"],
)
def add_run(request: HttpRequest, body: schemas.RunToAdd) -> HttpResponse:
    """Watch a run of your organisation that is not in the list yet. Needs the scope “add”."""
    try:
        run = discovery.add(body.run)
    except discovery.NotARunId as error:
        raise Problem(422, str(error), {"run": str(error)}) from error
    except NotFound as error:
        detail = "Case.dev knows no run with this id in your organisation."
        raise Problem(404, detail) from error
    except CaseDevError as error:
        raise Problem(502, error.sentence) from error
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    acts.record(Act.RUN_ADDED, run=run.run_id, detail=f"by token “{token.name}”")
    follows.added(run, token.user)
    return _json(_whole(run), 201)


@api.get(
    "/runs/{run_id:run_id}",
    response={200: schemas.WholeRun, **OF_RUN},
    url_name="run",
    summary="One run",
    tags=["Runs"],
)
def get_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """All that is known of a run but its steps and entries."""
    return _json(_whole(_run(run_id, whole=True)))


@api.get(
    "/runs/{run_id:run_id}/steps",
    response={200: schemas.StepPage, **OF_RUN},
    url_name="steps",
    summary="The steps of a run",
    tags=["Steps"],
)
def list_steps(request: HttpRequest, run_id: str, query: Query[schemas.StepQuery]) -> HttpResponse:
    """The steps in Case.dev's own order, with every text in full. An answer ends early, with a
    “next”, when it would become larger than 4 MB."""
    run = _run(run_id)
    steps = Step.objects.filter(run=run, changed_version__gt=query.changed_since)
    found, onward = _window(steps, query, shapes.of_step, "content", "tool_input", "tool_output")
    return _json({"steps": found, "version": run.version, "next": onward})


@api.get(
    "/runs/{run_id:run_id}/steps/{int:position}",
    response={200: schemas.OneStep, **OF_RUN},
    url_name="step",
    summary="One step",
    tags=["Steps"],
)
def get_step(request: HttpRequest, run_id: str, position: int) -> HttpResponse:
    """One step; they count from 1."""
    step = Step.objects.filter(run=_run(run_id), position=position, vanished_at=None).first()
    if step is None:
        raise Problem(404, f"There is no step {position} in this run.")
    return _json(shapes.of_step(step))


@api.get(
    "/runs/{run_id:run_id}/entries",
    response={200: schemas.EntryPage, **OF_RUN},
    url_name="entries",
    summary="The usage entries of a run",
    tags=["Costs"],
)
def list_entries(
    request: HttpRequest, run_id: str, query: Query[schemas.EntryQuery]
) -> HttpResponse:
    """The usage entries of a run."""
    run = _run(run_id)
    entries = UsageEntry.objects.filter(run=run)
    found, onward = _window(entries, query, shapes.of_entry, "metadata")
    return _json({"entries": found, "version": run.version, "next": onward})


@api.get(
    "/runs/{run_id:run_id}/costs",
    response={200: schemas.Costs, **OF_RUN},
    url_name="costs",
    summary="What a run cost",
    tags=["Costs"],
)
def get_costs(request: HttpRequest, run_id: str) -> HttpResponse:
    """What a run cost, by what, and whether the entries add up to the summary."""
    run = _run(run_id)
    compared = costs.compare(run.entries_cost_micros, run.summary_cost_micros)
    groupings = cost_page.sums(run).groupings if run.entry_count is not None else []
    told: dict[str, Any] = {
        name: [] for name in ("by_kind", "by_service", "by_endpoint", "by_model")
    } | {f"by_{grouping.by}": [*grouping.shown, *grouping.folded] for grouping in groupings}
    return _json(
        {
            "cost_micros": run.cost_micros,
            "summary_cost_micros": run.summary_cost_micros,
            "entries_cost_micros": run.entries_cost_micros,
            "difference_micros": compared.difference_micros,
            "adds_up": compared.adds_up,
            **told,
            "version": run.version,
        }
    )


# Pieces --------------------------------------------------------------------------------------


def _json(body: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(
        shapes.encoded(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "private, no-store"},
    )


def _run(run_id: str, *, whole: bool = False) -> Run:
    runs = Run.objects.select_related("poll").defer("poll__seen_digest")
    run = runs.filter(run_id=run_id).first() if whole else (
        runs.defer("output", "logs", "prompt", "guidance").filter(run_id=run_id).first()
    )  # fmt: skip
    if run is None:
        raise Problem(404, "No run with this id is watched here.")
    return run


def _whole(run: Run) -> dict[str, Any]:
    names = agents.names([run.agent_id])
    return shapes.of_run(run, names.get(run.agent_id or ""), _as_of(run))


def _as_of(run: Run) -> Any:
    return run.poll.last_ok_at if hasattr(run, "poll") else None


def _window(
    found: QuerySet[Any],
    query: schemas.StepQuery | schemas.EntryQuery,
    shape: Callable[[Any], dict[str, Any]],
    *texts: str,
) -> tuple[list[dict[str, Any]], str | None]:
    """Shapes of the rows behind `query.after`, and where the next window begins. `texts`: the
    columns that may be long; the rows of one answer have no more than LARGEST_PAGE in them."""
    if not query.include_vanished:
        found = found.filter(vanished_at=None)
    position, pk = _place(query.after)
    behind = found.filter(Q(position__gt=position) | Q(position=position, pk__gt=pk))
    sizes = behind.values_list("position", "pk", *(Octets(text) for text in texts))
    window = list(sizes.order_by("position", "pk")[: query.limit + 1])
    held = count = 0
    for _, _, *lengths in window[: query.limit]:
        held += sum(length or 0 for length in lengths)
        if count and held > LARGEST_PAGE:
            break
        count += 1
    shown = found.filter(pk__in=[pk for _, pk, *_ in window[:count]]).order_by("position", "pk")
    onward = "{}-{}".format(*window[count - 1]) if count < len(window) else None
    return [shape(row) for row in shown], onward


def _place(after: str) -> tuple[int, int]:
    """Of "12-3456", as `_window` gives it."""
    if not after:
        return 0, 0
    position, dash, pk = after.partition("-")
    parts = (position, pk)
    if not dash or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Problem(422, "“after” is none that was given out.", {"after": "not a cursor"})
    return min(int(position), 2**31 - 1), int(pk)


# What goes wrong -----------------------------------------------------------------------------


@api.exception_handler(Problem)
def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return answer(problem)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return answer(Problem(404, "There is nothing at this address."))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = {
        ".".join(str(part) for part in one["loc"] if part not in ("query", "body")): one["msg"]
        for one in error.errors
    }
    return answer(Problem(422, "Some of the request cannot be.", errors))


@api.exception_handler(Exception)
def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("an answer of the API failed", exc_info=error)
    return answer(Problem(500, "The failure is in the log."))
