"""Where text is shown: each route that answers a page to anybody, by the test that attacks it, or
with the reason why no hostile text can stand there. A route that is in neither fails.

A test has to see ENOUGH different payloads on every place of its own.
"""

from tests.attacks.extent import extent
from tests.attacks.watched import Watch

ENOUGH = extent(100, 500)

RUN = "runs/<run_id:run_id>/"
SHARED = "s/-/<str:public_id>/"
STEP_LINK = f"{RUN}steps/<int:position>/links/<slug:mark>/"
SHARED_STEP_LINK = f"{SHARED}steps/<int:position>/links/<slug:mark>/"
ONE, HISTORY = "<path:object_id>/change/", "<path:object_id>/history/"

SHOWN = {
    "a run": (
        *(RUN, f"{RUN}read/", f"{RUN}cost/", f"{RUN}result/", f"{RUN}logs/", f"{RUN}raw/"),
        *(f"{RUN}steps/<int:position>/", f"{RUN}notes/", f"{RUN}read/whole/", "compare/"),
    ),
    "lists": ("", "runs/"),
    "small pages": (
        *(
            f"{RUN}seen/",
            f"{RUN}result/links/<int:number>/",
            STEP_LINK,
            "share-links/",
            "share-links/<int:pk>/",
        ),
        *("share-links/<int:pk>/revoke/", "runs/views/", "runs/views/new/", "runs/label/"),
        *(
            "mentions/",
            "notices/",
            "status/",
            "runs/add/",
            "accounts/",
            "accounts/2fa/",
            "accounts/sessions/",
        ),
        *("accounts/tokens/", "runs/export/", f"{RUN}export/"),
        *("accounts/2fa/passkeys/<int:pk>/edit/", "accounts/2fa/passkeys/<int:pk>/remove/"),
    ),
    "the administration": (
        *(
            f"admin/runs/{name}/"
            for name in ("run", "step", "usageentry", "agent", "poll", "payload")
        ),
        *(f"admin/runs/{name}/{ONE}" for name in ("run", "step", "usageentry", "poll", "agent")),
        *(f"admin/runs/{name}/{ONE}" for name in ("revision", "payload", "upstream", "discovery")),
        f"admin/runs/agent/{HISTORY}",
        *("admin/dashboard/sharelink/", f"admin/dashboard/sharelink/{ONE}"),
        *("admin/dashboard/auditentry/", f"admin/dashboard/auditentry/{ONE}"),
        *("admin/auth/user/", f"admin/auth/user/{ONE}", f"admin/auth/user/{HISTORY}"),
        *("admin/auth/group/", f"admin/auth/group/{ONE}", f"admin/auth/group/{HISTORY}"),
        *("admin/auth/user/<path:object_id>/delete/", "admin/auth/group/<path:object_id>/delete/"),
        *("admin/auth/user/<id>/password/", "admin/"),
    ),
    "shared": (
        *(SHARED, f"{SHARED}read/", f"{SHARED}cost/", f"{SHARED}result/", f"{SHARED}logs/"),
        *(
            f"{SHARED}steps/<int:position>/",
            f"{SHARED}result/links/<int:number>/",
            SHARED_STEP_LINK,
        ),
        f"{RUN}share/",
    ),
    "streams": (f"{RUN}live/", "runs/live/", f"{SHARED}live/"),
    "the API": (
        *("api/runs", "api/runs/<run_id:run_id>", "api/runs/<run_id:run_id>/steps"),
        *("api/runs/<run_id:run_id>/entries", "api/runs/<run_id:run_id>/costs"),
        "api/runs/<run_id:run_id>/steps/<int:position>",
    ),
}

# Why no hostile text can stand there.
NO_TEXT = {
    "a file: an attachment with nosniff and a sandbox, which a browser saves and does not show": (
        *(f"{RUN}cost/<int:position>/metadata/", f"{RUN}logs/<int:number>/"),
        *(f"{RUN}text/<slug:name>/", f"{RUN}steps/<int:position>/<slug:part>/"),
        *(f"{RUN}export/{name}" for name in ("costs.csv", "costs.xlsx", "record.json")),
        *(f"{RUN}export/{name}" for name in ("steps.csv", "steps.xlsx")),
        "runs/export/runs.csv",
        *(f"{SHARED}cost/<int:position>/metadata/", f"{SHARED}logs/<int:number>/"),
        *(f"{SHARED}text/<slug:name>/", f"{SHARED}steps/<int:position>/<slug:part>/"),
    ),
    "the same piece of another page, which is attacked there": (
        *("status/live/", "s/<str:token>/live/"),
    ),
    "words and figures of ours alone": (
        *("api/docs", "api/openapi.json", "help/keys/", "healthz", "metrics"),
        *("exports/<slug:order>/", "share-links/switch/", "runs/columns/", "runs/follow/"),
        *("notices/rules/", "notices/settings/"),
        *("accounts/email/", "accounts/inactive/", "accounts/login/", "accounts/logout/"),
        *("accounts/password/change/", "accounts/password/reset/", "accounts/reauthenticate/"),
        *("accounts/services/cancelled/", "accounts/services/signup/", "accounts/signup/"),
        *("admin/jsi18n/", "admin/password_change/done/", "admin/auth/user/add/"),
        "admin/auth/group/add/",
        "admin/^(?P<app_label>runs|auth|dashboard)/$",
    ),
    "an e-mail address that an issuer of the operator's own has verified; shown as all text is": (
        "accounts/services/",
    ),
    "times, states and keys; the texts of a row are on its own page": (
        *("admin/runs/revision/", "admin/runs/discovery/", "admin/runs/upstream/"),
        *("admin/dashboard/shareview/", f"admin/dashboard/shareview/{ONE}"),
        f"admin/dashboard/shareview/{HISTORY}",
    ),
    "nothing is ever changed in the administration, so a history is empty below a name of ours": (
        *(f"admin/runs/{name}/{HISTORY}" for name in ("run", "step", "usageentry", "poll")),
        *(f"admin/runs/{name}/{HISTORY}" for name in ("payload", "upstream")),
        *(f"admin/dashboard/{name}/{HISTORY}" for name in ("auditentry", "sharelink")),
    ),
}


def assert_enough(watch: Watch, *tests: str) -> None:
    """Each place of these tests has shown ENOUGH payloads in `watch`."""
    seen = {route: len(watch.places[route]) for test in tests for route in SHOWN[test]}
    lacking = {route: count for route, count in seen.items() if count < ENOUGH}
    assert lacking == {}, seen
