from django.contrib import admin
from django.urls import include, path, re_path, register_converter

from dashboard.converters import RunIdConverter
from dashboard.views import shared
from dashboard.views.add import add
from dashboard.views.callbacks import callback
from dashboard.views.columns import list_columns
from dashboard.views.compare import compare
from dashboard.views.errors import broken
from dashboard.views.exports import (
    export_progress,
    list_csv,
    list_exports,
    run_exports,
    run_json,
    run_table,
)
from dashboard.views.follows import follow_all, follow_batch, follow_run
from dashboard.views.health import healthz, readyz
from dashboard.views.keys import keys
from dashboard.views.live import run_live, runs_live
from dashboard.views.looked import lists_looked, run_looked
from dashboard.views.metrics import metrics
from dashboard.views.notes import (
    label_all,
    label_run,
    mentions,
    run_notes,
    see_mentions,
    take_note_back,
    write_note,
)
from dashboard.views.notices import notices, rules, see_notices, try_notices
from dashboard.views.notices import settings as notice_settings
from dashboard.views.overview import overview
from dashboard.views.run import cost, link, log, logs, metadata, raw, read, result, text, timeline
from dashboard.views.runs import runs
from dashboard.views.saved import change_view, keep_view, saved_views
from dashboard.views.seen import seen
from dashboard.views.shares import (
    revoke_link,
    share_link,
    share_links,
    share_run,
    sharing_switch,
)
from dashboard.views.status import status, status_live
from dashboard.views.steps import step, step_link, step_payload
from dashboard.views.tokens import api_tokens, new_token, revoke_token
from dashboard.views.violations import report
from dashboard.views.whole import whole

register_converter(RunIdConverter, "run_id")

urlpatterns = [
    path("", overview, name="overview"),
    # Words of the site come before `<run_id:...>`, which would take them for an id.
    path("runs/", runs, name="runs"),
    path("compare/", compare, name="compare"),
    path("runs/add/", add, name="add-run"),
    path("runs/live/", runs_live, name="runs-live"),
    path("runs/looked/", lists_looked, name="lists-looked"),
    path("runs/export/", list_exports, name="export-runs"),
    path("runs/label/", label_all, name="label-all"),
    path("runs/follow/", follow_all, name="follow-all"),
    path("runs/follow/<slug:batch>/", follow_batch, name="follow-batch"),
    path("runs/columns/", list_columns, name="list-columns"),
    path("runs/views/", saved_views, name="saved-views"),
    path("runs/views/new/", keep_view, name="keep-view"),
    path("runs/views/<int:number>/", change_view, name="change-view"),
    path("runs/export/runs.csv", list_csv, name="export-runs-csv"),
    path("runs/<run_id:run_id>/", timeline, name="run"),
    path("runs/<run_id:run_id>/read/", read, name="run-read"),
    path("runs/<run_id:run_id>/read/whole/", whole, name="run-whole"),
    path("runs/<run_id:run_id>/cost/", cost, name="run-cost"),
    path("runs/<run_id:run_id>/cost/<int:position>/metadata/", metadata, name="entry-metadata"),
    path("runs/<run_id:run_id>/result/", result, name="run-result"),
    path("runs/<run_id:run_id>/result/links/<int:number>/", link, name="run-link"),
    path("runs/<run_id:run_id>/logs/", logs, name="run-logs"),
    path("runs/<run_id:run_id>/logs/<int:number>/", log, name="run-log"),
    path("runs/<run_id:run_id>/text/<slug:name>/", text, name="run-text"),
    path("runs/<run_id:run_id>/raw/", raw, name="run-raw"),
    path("runs/<run_id:run_id>/steps/<int:position>/", step, name="step"),
    path(
        "runs/<run_id:run_id>/steps/<int:position>/<slug:part>/", step_payload, name="step-payload"
    ),
    path(
        "runs/<run_id:run_id>/steps/<int:position>/links/<slug:mark>/", step_link, name="step-link"
    ),
    path("runs/<run_id:run_id>/live/", run_live, name="run-live"),
    path("runs/<run_id:run_id>/looked/", run_looked, name="run-looked"),
    path("runs/<run_id:run_id>/share/", share_run, name="share-run"),
    path("runs/<run_id:run_id>/seen/", seen, name="run-seen"),
    path("runs/<run_id:run_id>/export/", run_exports, name="run-export"),
    path("runs/<run_id:run_id>/export/record.json", run_json, name="export-json"),
    *(
        path(
            f"runs/<run_id:run_id>/export/{table}.{form}",
            run_table,
            {"table": table, "form": form},
            name=f"export-{table}-{form}",
        )
        for table in ("steps", "costs")
        for form in ("csv", "xlsx")
    ),
    path("runs/<run_id:run_id>/notes/", run_notes, name="run-notes"),
    path("runs/<run_id:run_id>/notes/write/", write_note, name="write-note"),
    path("runs/<run_id:run_id>/labels/", label_run, name="label-run"),
    path("runs/<run_id:run_id>/follow/", follow_run, name="follow-run"),
    path("notes/<int:number>/take-back/", take_note_back, name="take-note-back"),
    path("mentions/", mentions, name="mentions"),
    path("mentions/seen/", see_mentions, name="see-mentions"),
    path("notices/", notices, name="notices"),
    path("notices/seen/", see_notices, name="see-notices"),
    path("notices/settings/", notice_settings, name="notice-settings"),
    path("notices/test/", try_notices, name="try-notices"),
    path("notices/rules/", rules, name="notice-rules"),
    path("exports/<slug:order>/", export_progress, name="export-progress"),
    path("share-links/", share_links, name="share-links"),
    path("share-links/switch/", sharing_switch, name="sharing-switch"),
    path("share-links/<int:pk>/", share_link, name="share-link"),
    path("share-links/<int:pk>/revoke/", revoke_link, name="revoke-link"),
    path("s/-/<str:public_id>/", shared.front, name="shared-front"),
    path("s/<str:token>/", shared.timeline, name="shared-run"),
    path("s/<str:token>", shared.timeline),  # mail programs drop a slash at the end
    # By the token, and by the cookie that a browser is given for it.
    *(
        path(f"s/{by}/{tail}", view, name=name)
        for by in ("-/<str:public_id>", "<str:token>")
        for tail, view, name in (
            ("read/", shared.read, "shared-read"),
            ("cost/", shared.cost, "shared-cost"),
            ("cost/<int:position>/metadata/", shared.metadata, "shared-metadata"),
            ("result/", shared.result, "shared-result"),
            ("result/links/<int:number>/", shared.link, "shared-link-out"),
            ("logs/", shared.logs, "shared-logs"),
            ("logs/<int:number>/", shared.log, "shared-log"),
            ("text/<slug:name>/", shared.text, "shared-text"),
            ("steps/<int:position>/", shared.step, "shared-step"),
            (
                "steps/<int:position>/<slug:part>/",
                shared.step_payload,
                "shared-step-payload",
            ),
            (
                "steps/<int:position>/links/<slug:mark>/",
                shared.step_link,
                "shared-step-link",
            ),
            ("live/", shared.live, "shared-live"),
        )
    ),
    # Whatever else is asked of a link gets the very answer that a wrong token gets.
    re_path(r"^s/", shared.nowhere),
    path("help/keys/", keys, name="keys"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("callbacks/<str:token>/", callback, name="callback"),
    path("csp-reports/", report, name="csp-reports"),
    path("status/", status, name="status"),
    path("status/live/", status_live, name="status-live"),
    path("api/", include("dashboard.api.urls")),
    path("accounts/tokens/", api_tokens, name="api-tokens"),
    path("accounts/tokens/new/", new_token, name="new-token"),
    path("accounts/tokens/<int:number>/revoke/", revoke_token, name="revoke-token"),
    path("accounts/", include("dashboard.accounts.urls")),
    path("admin/", admin.site.urls),
]

handler500 = broken
