"""Links made before a link's parts could be chosen showed all of them, and go on doing so."""

import secrets

from django.db import migrations
from django.db.models import Count

EVERYTHING = [
    "summary",
    "request",
    "output",
    "timeline",
    "thinking",
    "tools",
    "cost",
    "logs",
    "ids",
]


def fill(apps, schema_editor):
    ShareLink = apps.get_model("dashboard", "ShareLink")
    for link in ShareLink.objects.annotate(seen=Count("views")).iterator():
        ShareLink.objects.filter(pk=link.pk).update(
            public_id=secrets.token_urlsafe(12), shows=EVERYTHING, openings=link.seen
        )


def grant(apps, schema_editor):
    """Admins may turn the site's switch."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="dashboard", model="sharingswitch"
    )
    permissions = apps.get_model("auth", "Permission").objects
    for group in apps.get_model("auth", "Group").objects.filter(name="admin"):
        for verb in ("view", "change"):
            permission, _ = permissions.get_or_create(
                content_type=kind,
                codename=f"{verb}_sharingswitch",
                defaults={"name": f"Can {verb} sharing switch"},
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0003_disclosure")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
