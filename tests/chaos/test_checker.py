"""The checker itself: that it sees what it looks for."""

import json

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from dashboard.saved.models import SavedView
from runs import packing
from runs.models import Payload
from tests.chaos.checker import places_of
from tests.factories import make_run, make_steps
from tests.runs.answers import details, step

KEY = "sk_case_5d0f27c3"


@pytest.mark.django_db
def test_a_key_is_seen_wherever_the_database_holds_it(viewer: User) -> None:
    run = make_run("running")
    make_steps(run, 2)
    body = packing.pack(details([step(1), step(2)], guidance=f"Use {KEY} for it."))
    payload = Payload(run=run, kind=Payload.Kind.GOOD, body=b"", size=0, observed_at=timezone.now())
    payload.save()
    session = SessionStore()
    session.save()
    assert places_of(KEY) == []
    assert KEY.encode() not in body
    payload.body = body
    payload.save()
    session["where"] = f"/?key={KEY}"
    session.save()
    SavedView.objects.create(owner=viewer, name=KEY, created_at=timezone.now())
    run.steps.filter(position=2).update(tool_output=json.dumps(KEY))
    assert {
        "dashboard_savedview.name",
        "django_session.session_data",
        "runs_payload.body",
        "runs_step.tool_output",
    } <= {*places_of(KEY)}
