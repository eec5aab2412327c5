from django.contrib import admin
from django.urls import include, path, register_converter

from dashboard.converters import RunIdConverter
from dashboard.views.add import add
from dashboard.views.overview import overview
from dashboard.views.runs import runs
from dashboard.views.shares import revoke_link, share_links, share_run

register_converter(RunIdConverter, "run_id")

urlpatterns = [
    path("", overview, name="overview"),
    # Words of the site come before `<run_id:...>`, which would take them for an id.
    path("runs/", runs, name="runs"),
    path("runs/add/", add, name="add-run"),
    path("runs/<run_id:run_id>/share/", share_run, name="share-run"),
    path("share-links/", share_links, name="share-links"),
    path("share-links/<int:pk>/revoke/", revoke_link, name="revoke-link"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
