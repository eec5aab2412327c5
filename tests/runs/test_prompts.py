"""Runs that were asked the same thing are found by a key of their prompt."""

import json
from importlib import import_module
from typing import Any

from django.apps import apps
from django.utils import timezone

from runs import prompts, sync
from runs.models import Run
from tests.factories import make_run


def read(run: Run, **answer: Any) -> sync.Change:
    body = json.dumps({"id": run.run_id, "status": "running", **answer}).encode()
    return sync.apply(run, body, timezone.now())


def test_case_and_white_space_make_no_other_prompt():
    key = prompts.key("Review the NDA\n in  vault_acme")
    assert key
    assert len(key) == prompts.KEY_LENGTH
    assert key == prompts.key("  review THE nda in vault_acme ")
    assert key != prompts.key("Review the NDA in vault_other")
    for nothing in (None, "", " \n\t"):
        assert prompts.key(nothing) is None
    assert prompts.key("\ud800")


def test_the_key_comes_with_the_whole_prompt_and_goes_with_it(db: None):
    run = make_run("running", prompt="Review the N", prompt_is_cut=True)
    read(run, prompt="Review the NDA")
    run.refresh_from_db()
    assert run.prompt_key == prompts.key("Review the NDA")
    assert not read(run, prompt="Review the NDA").is_new, "the same answer changes nothing"
    read(run, prompt="Review the lease")
    run.refresh_from_db()
    assert run.prompt_key == prompts.key("Review the lease")


def test_a_prompt_of_which_only_the_beginning_is_known_has_no_key(db: None):
    run = make_run("running", prompt="Review the N", prompt_is_cut=True)
    read(run)
    run.refresh_from_db()
    assert run.prompt_is_cut
    assert run.prompt_key is None


def test_runs_stored_before_there_were_keys_are_given_theirs(db: None):
    whole = make_run(prompt="Review the NDA")
    cut = make_run(prompt="Review", prompt_is_cut=True)
    silent = make_run(prompt=None)
    import_module("runs.migrations.0010_key_prompts").key_prompts(apps, None)
    keys = dict(Run.objects.values_list("pk", "prompt_key"))
    assert keys == {whole.pk: prompts.key("Review the NDA"), cut.pk: None, silent.pk: None}
