"""What allauth offers to everybody and this site leaves to its administrators.

Both pages of allauth send mail, and an installation without a mail server would answer with an
error, or worse, say that a letter is on its way.
"""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
@login_not_required
def reset_password(request: HttpRequest) -> HttpResponse:
    what = "Forgotten password"
    sentence = "An administrator of this installation can set a new password for you."
    return render(request, "account/ask_admin.html", {"what": what, "sentence": sentence})


@require_safe
def change_email(request: HttpRequest) -> HttpResponse:
    what = "E-mail address"
    sentence = "An administrator of this installation can change your address."
    return render(request, "account/ask_admin.html", {"what": what, "sentence": sentence})
