"""The tokens of one's own account: made, listed, revoked."""

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.access import needs
from dashboard.accounts import factors
from dashboard.api import tokens as flows
from dashboard.api.models import ApiToken

SHOWN = 200
OVERSEES = "auth.change_user"  # whoever manages accounts sees and ends everybody's tokens

may_see_runs = needs(
    "runs.view_run", "Your account has no role yet, so a token of yours would open nothing."
)


class TokenForm(forms.Form):
    name = forms.CharField(
        label="What is it for?",
        max_length=100,
        help_text="A name by which you will know it in a year: the tool and where it runs.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    may_read = forms.BooleanField(label="Read: runs, steps, costs", required=False, initial=True)
    may_add = forms.BooleanField(label="Add runs to be watched", required=False)
    days = forms.IntegerField(
        label="Lives for how many days?",
        min_value=1,
        max_value=ApiToken.LONGEST_DAYS,
        initial=ApiToken.DEFAULT_DAYS,
        help_text=f"At most {ApiToken.LONGEST_DAYS}.",
    )

    def clean(self) -> dict[str, object]:
        told: dict[str, object] = super().clean() or {}
        if not (told.get("may_read") or told.get("may_add")):
            raise forms.ValidationError("Choose something that the token may do.")
        return told


@require_safe
@never_cache
@may_see_runs
def api_tokens(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    mine = ApiToken.objects.filter(user=request.user.pk)
    context = {"tokens": _with_standing(mine, now), "now": now, "others": []}
    if request.user.has_perm(OVERSEES):
        others = ApiToken.objects.exclude(user=request.user.pk).filter(revoked_at=None)
        context["others"] = _with_standing(others.filter(expires_at__gt=now), now)
    return render(request, "api/tokens.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_see_runs
@reauthentication_required
def new_token(request: HttpRequest) -> HttpResponse:
    """The answer to the form is the one page that ever shows the token."""
    assert isinstance(request.user, User)
    if detour := factors.lead(request, factors.reason_on_every_page(request.user)):
        return detour
    form = TokenForm(request.POST if request.method == "POST" else None)
    if not request.user.has_perm("runs.add_run"):
        del form.fields["may_add"]
    if request.method == "POST" and form.is_valid():
        try:
            token, text = flows.create(request.user, **form.cleaned_data)
        except flows.TooMany:
            form.add_error(
                None, f"You have {ApiToken.MOST_LIVE} live tokens. Revoke one that is not needed."
            )
        else:
            context = {"token": token, "text": text, "now": timezone.now()}
            return render(request, "api/token_made.html", context, status=201)
    return render(request, "api/new_token.html", {"form": form}, status=400 if form.errors else 200)


@require_POST
@may_see_runs
def revoke_token(request: HttpRequest, number: int) -> HttpResponse:
    assert isinstance(request.user, User)
    token = get_object_or_404(ApiToken.objects.select_related("user"), pk=number)
    if token.user != request.user and not request.user.has_perm(OVERSEES):
        raise Http404
    if flows.revoke(token, request.user):
        messages.success(request, f"The token “{token.name}” opens nothing any more.")
    return redirect("api-tokens")


def _with_standing(found: object, now: object) -> list[ApiToken]:
    rows: list[ApiToken] = list(found.select_related("user", "revoked_by")[:SHOWN])  # type: ignore[attr-defined]
    for token in rows:
        ended = "revoked" if token.revoked_at else "expired"
        token.standing = "live" if token.is_live(now) else ended  # type: ignore[attr-defined,arg-type]
    return rows
