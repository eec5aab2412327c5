from django.apps import AppConfig

from runs import lookups


class RunsConfig(AppConfig):
    name = "runs"
    verbose_name = "The record"

    def ready(self) -> None:
        lookups.register()
