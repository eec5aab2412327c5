from django.apps import AppConfig
from django.contrib.admin import apps as django_admin


class DashboardConfig(AppConfig):
    name = "dashboard"
    verbose_name = "The site"

    def ready(self) -> None:
        # Tasks find the app; what has no apps (`up`, the simulator) does without Celery.
        import dashboard.celery  # noqa: F401
        from dashboard.accounts import given, recovery, sessions
        from dashboard.audit import acts

        sessions.listen()
        given.listen()
        recovery.install()
        acts.connect()


class SiteAdminConfig(django_admin.AdminConfig):
    """Django's admin, entered by the site's own login."""

    default = False  # of this module, so that the app "dashboard" has one config to choose
    default_site = "dashboard.admin_site.RunsheetAdminSite"
