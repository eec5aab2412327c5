"""What the lists of a run's last answer were: what changed is found without reading rows."""

from django.db import models

from runs.models.run import Run


class Fingerprint(models.Model):
    """Written with each change of a list, and so apart from the bytes of the answer, which would
    be written anew with it. As `runs.fingerprints` makes them; empty: no list was stored."""

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="fingerprint")
    steps = models.BinaryField(default=bytes)
    entries = models.BinaryField(default=bytes)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"fingerprint of run {self.run_id}"
