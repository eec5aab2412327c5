"""Adding a run that a person names by its id or by an address that holds one."""

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.access import needs
from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.notices import follows
from runs import discovery
from runs.casedev.errors import CaseDevError, NotFound

may_add = needs(
    "runs.add_run",
    "Your role does not include adding runs. Ask an administrator for the role of a member.",
)


class AddForm(forms.Form):
    run = forms.CharField(
        label="Run id or address",
        max_length=2_000,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "placeholder": "run_abc123",
            }
        ),
        error_messages={"required": "Paste a run id or the address of a run."},
        help_text="The id, or any address that holds it.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_add
def add(request: HttpRequest) -> HttpResponse:
    """Only a thing that can be a run id is asked for at Case.dev."""
    assert isinstance(request.user, User)
    form = AddForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            run = discovery.add(form.cleaned_data["run"])
        except discovery.NotARunId as error:
            form.add_error("run", str(error))
        except NotFound:
            form.add_error("run", "Case.dev knows no run with this id in your organisation.")
        except CaseDevError as error:
            form.add_error(None, f"Case.dev could not be asked: {error.sentence}")
        else:
            acts.record(Act.RUN_ADDED, run=run.run_id)
            follows.added(run, request.user)
            return HttpResponseRedirect(reverse("run", args=[run.run_id]))
    return render(request, "runs/add.html", {"form": form}, status=422 if form.errors else 200)
