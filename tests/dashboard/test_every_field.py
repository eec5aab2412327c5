"""Every field of Case.dev's reference page stands somewhere on the pages of a run.

The sample below has the keys of the reference, each with a value of its own. It goes through the
product's own reading (`sync`), and each value is then looked for on the tabs.
"""

import datetime as dt
import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from runs import sync
from runs.models import Run
from tests.factories import make_poll

pytestmark = pytest.mark.django_db

SAMPLE: dict[str, Any] = {
    "id": "run_every_field",
    "agentId": "agent-marker-1",
    "status": "completed",
    "prompt": "prompt-marker-2",
    "guidance": "guidance-marker-3",
    "model": "model-marker-4",
    "workflowId": "workflow-marker-5",
    "modalSandboxId": "modal-marker-6",
    "provider": "provider-marker-7",
    "runtimeId": "runtime-marker-8",
    "runtimeState": "state-marker-9",
    "result": {
        "output": "output-marker-10",
        "outputObjectIds": ["outputobject-marker-11"],
        "finalResponse": {
            "summary": "summary-marker-12",
            "createdObjectIds": ["createdobject-marker-13"],
            "issues": ["issue-marker-14"],
        },
        "logs": {"opencode": "opencode-marker-15", "runner": "runner-marker-16"},
    },
    "usage": {
        "model": "usagemodel-marker-17",
        "inputTokens": 111_018,
        "outputTokens": 111_019,
        "toolCalls": 111_020,
        "durationMs": 111_021,
        "summary": {
            "costMicros": 111_022,
            "totalInputTokens": 111_023,
            "totalOutputTokens": 111_024,
            "totalTokens": 111_025,
        },
        "entries": [
            {
                "id": "entry-marker-26",
                "kind": "kind-marker-27",
                "service": "service-marker-28",
                "endpoint": "endpoint-marker-29",
                "method": "METHOD-marker-30",
                "statusCode": 231,
                "costMicros": 111_032,
                "promptTokens": 111_033,
                "completionTokens": 111_034,
                "totalTokens": 111_035,
                "model": "entrymodel-marker-36",
                "timestamp": "2023-11-07T05:31:37Z",
                "metadata": {"key-marker-38": "value-marker-39"},
            }
        ],
    },
    "steps": [
        {
            "id": "step-marker-40",
            "type": "type-marker-41",
            "content": "content-marker-42",
            "toolName": "tool-marker-43",
            "toolInput": {"inputkey-marker-44": "inputvalue-marker-45"},
            "toolOutput": "outputtext-marker-46",
            "durationMs": 111_047,
            "timestamp": "2023-11-07T05:31:48Z",
        }
    ],
    "createdAt": "2023-11-07T05:30:49Z",
    "startedAt": "2023-11-07T05:31:05Z",
    "completedAt": "2023-11-07T05:33:51Z",
}
TABS = ("", "cost/", "result/", "logs/", "steps/1/")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything that a reader must find; keys of free objects are values."""
    if isinstance(value, dict):
        for key, child in value.items():
            if "marker" in key:
                yield f"{path}.{key}", key
            yield from leaves(child, f"{path}.{key}")
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child, f"{path}[]")
    else:
        yield path, value


def as_shown(value: Any) -> str:
    """How a page writes the value: numbers with separators, money as dollars, times in UTC."""
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def synced(payload: dict[str, Any]) -> Run:
    now = timezone.now()
    run = Run.objects.create(run_id=payload["id"], first_seen_at=now, changed_at=now, listed_at=now)
    make_poll(run)
    with transaction.atomic():
        sync.apply(run, json.dumps(payload).encode(), now)
    return run


def words_of(markup: str) -> str:
    """What a reader sees, tags and line breaks taken out."""
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


@pytest.fixture
def pages(viewer_client) -> dict[str, str]:
    run = synced(SAMPLE)
    found = {}
    for tab in TABS:
        response = viewer_client.get(f"/runs/{run.run_id}/{tab}")
        assert response.status_code == 200
        found[tab] = words_of(response.content.decode())
    return found


def test_every_value_of_the_reference_is_to_be_seen(pages):
    everything = "\n".join(pages.values())
    missing = []
    for path, value in leaves(SAMPLE):
        shown = as_shown(value)
        if path.endswith("costMicros"):
            shown = f"$0.{value}"
        elif path.endswith(("At", "timestamp")):
            moment = dt.datetime.fromisoformat(value)
            shown = f"{moment:%H:%M:%S}"
        if shown not in everything:
            missing.append((path, shown))
    assert missing == []


def test_times_are_told_with_their_day_and_zone(pages):
    for name in ("createdAt", "startedAt", "completedAt"):
        moment = dt.datetime.fromisoformat(SAMPLE[name])
        assert f"{moment:%Y-%m-%d %H:%M:%S} UTC" in pages[""]
    assert "2023-11-07 05:31:48 UTC" in pages["steps/1/"]


def test_costs_of_the_summary_and_of_an_entry_are_exact(pages):
    assert "$0.111022" in pages["cost/"]
    assert "$0.111032" in pages["cost/"]


def test_whatever_a_log_is_called_it_is_shown(viewer_client):
    logs = {"opencode": "a", "server": "b", "": "c", "brand new": "d", "none": None}
    run = synced(SAMPLE | {"id": "run_logs", "result": {"logs": logs}})
    page = words_of(viewer_client.get(f"/runs/{run.run_id}/logs/").content.decode())
    for name in ("opencode", "server", "(no name)", "brand new", "none"):
        assert name in page


def test_absent_null_and_empty_are_told_apart(viewer_client):
    payload = {key: value for key, value in SAMPLE.items() if key != "workflowId"}
    payload |= {"id": "run_absent", "provider": None, "runtimeId": ""}
    page = viewer_client.get(f"/runs/{synced(payload).run_id}/").content.decode()
    facts = dict(
        re.findall(r"<code>(\w+)</code></dt><dd>(.*?)</dd>", page[page.index('id="run-facts"') :])
    )
    assert words_of(facts["workflowId"]) == "not reported"
    assert words_of(facts["provider"]) == "none"
    assert words_of(facts["runtimeId"]) == "empty"


def test_a_run_without_usage_has_no_cost_and_not_a_cost_of_zero(viewer_client):
    payload = {key: value for key, value in SAMPLE.items() if key != "usage"}
    run = synced(payload | {"id": "run_no_usage"})
    for tab in ("", "cost/"):
        page = words_of(viewer_client.get(f"/runs/{run.run_id}/{tab}").content.decode())
        assert "cost not reported" in page
        assert "$0" not in page


def test_a_run_without_result_says_so(viewer_client):
    payload = {key: value for key, value in SAMPLE.items() if key != "result"}
    run = synced(payload | {"id": "run_no_result"})
    page = words_of(viewer_client.get(f"/runs/{run.run_id}/result/").content.decode())
    assert "No result" in page
    assert "has no “result” at all" in page
