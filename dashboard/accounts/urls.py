"""The addresses below /accounts/: those of allauth's that this site uses, and no others."""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.socialaccount import views as services
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from dashboard.accounts.sessions import renewing
from dashboard.views import accounts as ours

form = require_http_methods(["GET", "HEAD", "POST"])

urlpatterns = [
    path("", ours.overview, name="account"),
    path("login/", form(ours.Login.as_view()), name="account_login"),
    path("login/passkey/", form(webauthn.login_webauthn), name="mfa_login_webauthn"),
    path("logout/", form(account.logout), name="account_logout"),
    path("inactive/", require_safe(account.account_inactive), name="account_inactive"),
    path("signup/", ours.closed, name="account_signup"),
    path("email/", ours.change_email, name="account_email"),
    path("password/change/", form(ours.change_password), name="account_change_password"),
    path("password/reset/", ours.reset_password, name="account_reset_password"),
    path("reauthenticate/", form(renewing(account.reauthenticate)), name="account_reauthenticate"),
    path("2fa/", require_safe(ours.SecondFactor.as_view()), name="mfa_index"),
    path("2fa/authenticate/", form(mfa.authenticate), name="mfa_authenticate"),
    path("2fa/reauthenticate/", form(renewing(mfa.reauthenticate)), name="mfa_reauthenticate"),
    path("2fa/totp/activate/", form(ours.ActivateTotp.as_view()), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", form(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", ours.recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "2fa/recovery-codes/generate/",
        form(ours.GenerateRecoveryCodes.as_view()),
        name="mfa_generate_recovery_codes",
    ),
    path("2fa/passkeys/", ours.passkeys, name="mfa_list_webauthn"),
    path("2fa/passkeys/add/", form(ours.AddPasskey.as_view()), name="mfa_add_webauthn"),
    path(
        "2fa/passkeys/reauthenticate/",
        form(renewing(webauthn.reauthenticate_webauthn)),
        name="mfa_reauthenticate_webauthn",
    ),
    path("2fa/passkeys/<int:pk>/edit/", form(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path(
        "2fa/passkeys/<int:pk>/remove/", form(webauthn.remove_webauthn), name="mfa_remove_webauthn"
    ),
    path("sessions/", ours.sessions, name="usersessions_list"),
    path("sessions/<int:pk>/end/", ours.end_session, name="end-session"),
    path("sessions/others/end/", ours.end_other_sessions, name="end-other-sessions"),
    path("services/", form(ours.Connections.as_view()), name="socialaccount_connections"),
    path(
        "services/cancelled/",
        require_safe(services.login_cancelled),
        name="socialaccount_login_cancelled",
    ),
    path("services/signup/", ours.closed, name="socialaccount_signup"),
    path("services/<slug:provider_id>/login/", ours.leave, name="openid_connect_login"),
    path("services/<slug:provider_id>/callback/", ours.come_back, name="openid_connect_callback"),
]
