"""The timeline of a run as tests read it, and calls of tools to fill it with."""

import html
import json
import re
from typing import Any

from django.test import Client

from runs.models import Run, Step
from tests.factories import make_steps


def get(client: Client, run: Run, query: str = "", **headers: str) -> str:
    response = client.get(f"/runs/{run.run_id}/{query}", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def shown(page: str) -> list[int]:
    """Positions of the steps of a page, in order."""
    return [int(at) for at in re.findall(r'<li id="s(\d+)', page)]


def line(page: str, position: int | str) -> str:
    """The markup of one step."""
    found = re.search(rf'<li id="s{position}".*?</li>', page, re.DOTALL)
    assert found, f"no step {position}"
    return found[0]


def turn(page: str, way: str) -> str:
    """The address of the next part, "earlier" or "later"; "" if there is none."""
    found = re.search(rf'<li class="turn {way}".*?</li>', page, re.DOTALL)
    address = re.search(r'hx-get="([^"]+)"', found[0]) if found else None
    return html.unescape(address[1]) if address else ""


def call(
    run: Run, tool: str = "bash", given: Any = None, output: Any = None, **fields: Any
) -> Step:
    given = {"command": "casedev vault list"} if given is None else given
    values = {
        "type": "tool_call",
        "content": None,
        "tool_name": tool,
        "tool_input": json.dumps(given),
        "tool_output": None if output is None else json.dumps(output),
    }
    return make_steps(run, 1, **(values | fields))[0]
