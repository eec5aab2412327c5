"""The three roles. What a person may do comes from the group's permissions alone."""

from django.db import migrations

SEEN = [
    ("runs", model)
    for model in (
        "agent", "discovery", "poll", "revision", "run", "step", "upstream", "usageentry",
    )
] + [("dashboard", "sharelink"), ("dashboard", "shareview")]

VIEWER = [(app, model, "view") for app, model in SEEN]
# To change a share link is to revoke it; nothing else of it can be changed.
MEMBER = [
    *VIEWER,
    ("runs", "run", "add"),
    ("dashboard", "sharelink", "add"),
    ("dashboard", "sharelink", "change"),
]
# To change a poll is to poll now or to lift a quarantine; the record itself nobody changes.
ADMIN = [
    *MEMBER,
    ("runs", "poll", "change"),
    ("runs", "payload", "view"),
    *(("auth", model, verb) for model in ("user", "group") for verb in ("view", "add", "change")),
    ("auth", "user", "delete"),
    ("auth", "group", "delete"),
]
ROLES = {"viewer": VIEWER, "member": MEMBER, "admin": ADMIN}


def make_roles(apps, schema_editor):
    """Django makes permissions only after all migrations, so the ones named here are made now."""
    Group = apps.get_model("auth", "Group")
    for name, permissions in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*(permission(apps, *named) for named in permissions))


def permission(apps, app, model, verb):
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label=app, model=model
    )
    words = apps.get_model(app, model)._meta.verbose_name
    found, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=f"{verb}_{model}", defaults={"name": f"Can {verb} {words}"}
    )
    return found


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("dashboard", "0001_share_links"),
        ("runs", "0001_record"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
