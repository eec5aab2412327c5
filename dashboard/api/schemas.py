"""What answers hold, as the OpenAPI document tells it. The answers themselves are made by
`dashboard.exports.shapes`; a test holds the two together."""

import datetime as dt
from typing import Any

from ninja import Field, Schema
from ninja.orm import create_schema

from dashboard.exports import shapes
from runs.models import Run, Step, UsageEntry

MOST_RUNS, MOST_STEPS, MOST_ENTRIES = 200, 500, 1000

_NAME = ("agent_name", str | None, Field(None, description="As far as it is known."))
_AS_OF = (
    "as_of",
    dt.datetime | None,
    Field(None, description="When Case.dev was last asked successfully."),
)
_START = (
    "prompt_start",
    str | None,
    Field(None, description="The first 400 characters of the prompt."),
)


# Columns of JSON, of which the model tells no more than that.
_LISTS = [
    ("output_object_ids", list[str] | None, None),
    ("created_object_ids", list[str] | None, None),
    ("issues", list[str] | None, None),
    (
        "logs",
        list[list[str | None]] | None,
        Field(None, description="Pairs of name and text, in the API's order."),
    ),
    (
        "unreported",
        list[str],
        Field(description="Fields whose key was absent from the last answer."),
    ),
    (
        "contradictions",
        list[dict[str, Any]],
        Field(description="What Case.dev said that cannot be: objects of text and at."),
    ),
]
_LISTED = {name for name, *_ in _LISTS}


def _sent(name: str) -> tuple[str, Any, Any]:
    told = "JSON as it was sent, numbers as written. No such key: Case.dev sent none."
    return name, Any, Field(None, description=told)


ListedRun = create_schema(
    Run, name="ListedRun", fields=[*shapes.OF_LISTED_RUN], custom_fields=[_START, _NAME, _AS_OF]
)
WholeRun = create_schema(
    Run,
    name="Run",
    fields=[name for name in shapes.OF_RUN if name not in _LISTED],
    custom_fields=[*_LISTS, _NAME, _AS_OF],
)
OneStep = create_schema(
    Step, name="Step", fields=[*shapes.OF_STEP], custom_fields=[_sent("input"), _sent("output")]
)
OneEntry = create_schema(
    UsageEntry, name="UsageEntry", fields=[*shapes.OF_ENTRY], custom_fields=[_sent("metadata")]
)


class RunPage(Schema):
    runs: list[ListedRun]  # type: ignore[valid-type]
    matched: int = Field(description="How many runs match in all, as far as they are counted.")
    matched_is_exact: bool = Field(description="False: there are more than “matched”.")
    next: str | None = Field(description="Pass it as “after” to go on; null at the end.")


class StepPage(Schema):
    steps: list[OneStep]  # type: ignore[valid-type]
    version: int = Field(description="Of the run; it rises with each change.")
    next: str | None = Field(description="Pass it as “after” to go on; null at the end.")


class EntryPage(Schema):
    entries: list[OneEntry]  # type: ignore[valid-type]
    version: int
    next: str | None = Field(description="Pass it as “after” to go on; null at the end.")


class Group(Schema):
    label: str | None = Field(description="Null where entries name none.")
    count: int
    errors: int = Field(description="Calls that failed.")
    cost_micros: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


class Costs(Schema):
    """All in micro-dollars; null is not reported, which is not zero."""

    cost_micros: int | None = Field(description="The summary's cost, else the sum of entries.")
    summary_cost_micros: int | None
    entries_cost_micros: int | None
    difference_micros: int | None = Field(description="Entries minus summary.")
    adds_up: bool | None = Field(description="Null where there is nothing to compare.")
    by_kind: list[Group]
    by_service: list[Group]
    by_endpoint: list[Group]
    by_model: list[Group]
    version: int


class Me(Schema):
    user: str
    token: str
    scopes: list[str]
    expires_at: dt.datetime


class RunToAdd(Schema):
    run: str = Field(max_length=2000, description="A run id, or any address that holds one.")


class Wrong(Schema):
    name: str
    message: str


class ProblemDetails(Schema):
    """RFC 9457, as application/problem+json."""

    type: str
    title: str
    status: int
    code: str = Field(description="A word for programs.")
    detail: str = Field(description="A sentence for people.")
    errors: list[Wrong] | None = None


class ListQuery(Schema):
    q: str = Field("", description="Words of a prompt or summary, or an id.", max_length=200)
    status: list[str] = Field([], description="One or more; “other” is any unknown one.")
    agent: str = Field("", description="An agent's id.")
    model: str = Field("", description="A model's name.")
    label: str = Field("", description="A label that people put on runs.")
    from_: str = Field("", alias="from", description="A day, or today, 24h, 7d, 30d.")
    to: str = Field("", description="A day, itself included.")
    sort: str = Field(
        "newest", description="newest, oldest, started, ended, longest, steps or cost."
    )
    after: str = Field("", description="“next” of the page before.")
    limit: int = Field(50, ge=1, le=MOST_RUNS)


class StepQuery(Schema):
    after: str = Field("", description="“next” of the page before.")
    limit: int = Field(100, ge=1, le=MOST_STEPS)
    changed_since: int = Field(
        0, ge=0, le=2**63 - 1, description="Only steps that came or changed after this version."
    )
    include_vanished: bool = Field(
        False, description="Also those that Case.dev no longer reports; they have “vanished_at”."
    )


class EntryQuery(Schema):
    after: str = Field("", description="“next” of the page before.")
    limit: int = Field(250, ge=1, le=MOST_ENTRIES)
    include_vanished: bool = Field(False, description="Also those no longer reported.")
