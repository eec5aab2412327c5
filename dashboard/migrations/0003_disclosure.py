"""What a link shows, how often, to whom, and who looked."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def counted(**options):
    return models.PositiveIntegerField(**options)


class Migration(migrations.Migration):
    dependencies = [
        ("dashboard", "0002_roles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("sharelink", "public_id", models.CharField(max_length=32, null=True)),
        migrations.AddField(
            "sharelink", "recipient", models.CharField(blank=True, default="", max_length=200)
        ),
        migrations.AddField(
            "sharelink",
            "passphrase",
            models.CharField(
                blank=True,
                default="",
                help_text="Hashed; empty when none is asked.",
                max_length=200,
            ),
        ),
        migrations.AddField("sharelink", "wrong_passphrases", counted(default=0)),
        migrations.AddField("sharelink", "next_passphrase_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "sharelink", "most_views", counted(null=True, help_text="Null: as many as like.")
        ),
        migrations.AddField("sharelink", "openings", counted(default=0, help_text="Views so far.")),
        migrations.AddField(
            "sharelink",
            "shows",
            models.JSONField(default=list, help_text="Names of parts: disclosure.rules.Part."),
        ),
        migrations.AddField(
            "sharelink",
            "rules",
            models.JSONField(default=dict, help_text="What is redacted: disclosure.rules.Rules."),
        ),
        migrations.AddField(
            "sharelink",
            "is_frozen",
            models.BooleanField(default=False, help_text="Shows a copy and not the run."),
        ),
        migrations.AddField(
            "shareview",
            "address",
            models.CharField(
                default="", help_text="Truncated: IPv4 to /24, IPv6 to /48.", max_length=64
            ),
        ),
        migrations.AddField(
            "shareview",
            "agent",
            models.CharField(default="", help_text="User agent, cut.", max_length=200),
        ),
        migrations.AddField(
            "shareview",
            "is_opening",
            models.BooleanField(default=False, help_text="Counted as a view of the link."),
        ),
        migrations.AddField("shareview", "is_robot", models.BooleanField(default=False)),
        migrations.CreateModel(
            "FrozenCopy",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "link",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="copy",
                        to="dashboard.sharelink",
                    ),
                ),
                (
                    "body",
                    models.BinaryField(
                        help_text="disclosure.shown.Disclosure as JSON, zlib-compressed."
                    ),
                ),
                ("made_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            "SharingSwitch",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("is_closed", models.BooleanField(default=False)),
                ("changed_at", models.DateTimeField()),
                (
                    "changed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name_plural": "sharing switch"},
        ),
    ]
