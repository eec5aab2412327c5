"""Recovery codes that could be had back go: their owners are asked to make new ones, which are
kept as hashes alone. Other factors stay, and so nobody who has theirs at hand is locked out."""

from typing import Any

from django.db import migrations


def drop(apps: Any, schema_editor: Any) -> None:
    rows = apps.get_model("mfa", "Authenticator").objects.filter(type="recovery_codes")
    rows.exclude(data__has_key="hashes").delete()


class Migration(migrations.Migration):
    dependencies = (
        ("dashboard", "0011_notes_and_labels"),
        ("mfa", "0003_authenticator_type_uniq"),
    )
    operations = (migrations.RunPython(drop, migrations.RunPython.noop),)
