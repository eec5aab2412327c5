"""The audit log: append-only by triggers, on SQLite and on PostgreSQL.

What the triggers hold, whoever writes by whatever means:
- a row comes in only directly after the head; the head then moves to it, and in no other way;
- no row is changed or deleted, the head neither; on PostgreSQL no table is truncated.
"""

from importlib import import_module

from django.db import migrations, models

TABLES = {
    "sqlite": """
CREATE TABLE dashboard_audit_head (
    id smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    number bigint NOT NULL,
    at datetime NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32)
);
CREATE TABLE dashboard_audit (
    number INTEGER NOT NULL PRIMARY KEY,
    at datetime NOT NULL,
    act varchar(32) NOT NULL,
    result varchar(16) NOT NULL,
    person bigint NULL,
    link bigint NULL,
    name varchar(150) NOT NULL,
    run varchar(128) NOT NULL,
    page varchar(64) NOT NULL,
    detail varchar(300) NOT NULL,
    address varchar(64) NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32)
);
""",
    "postgresql": """
CREATE TABLE dashboard_audit_head (
    id smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    number bigint NOT NULL,
    at timestamptz NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32)
);
CREATE TABLE dashboard_audit (
    number bigint NOT NULL PRIMARY KEY,
    at timestamptz NOT NULL,
    act varchar(32) NOT NULL,
    result varchar(16) NOT NULL,
    person bigint NULL,
    link bigint NULL,
    name varchar(150) NOT NULL,
    run varchar(128) NOT NULL,
    page varchar(64) NOT NULL,
    detail varchar(300) NOT NULL,
    address varchar(64) NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32)
);
""",
}

# For: who has seen a run; all that a person did, or a link; all acts of a kind; a day.
INDEXES = """
CREATE INDEX audit_of_run ON dashboard_audit (run, number) WHERE run <> '';
CREATE INDEX audit_of_person ON dashboard_audit (person, number) WHERE person IS NOT NULL;
CREATE INDEX audit_of_link ON dashboard_audit (link, number) WHERE link IS NOT NULL;
CREATE INDEX audit_of_act ON dashboard_audit (act, number);
CREATE INDEX audit_of_day ON dashboard_audit (at);
"""

TRIGGERS = {
    "sqlite": [
        """CREATE TRIGGER audit_head_sole BEFORE INSERT ON dashboard_audit_head
        WHEN EXISTS (SELECT 1 FROM dashboard_audit_head)
        BEGIN SELECT RAISE(ABORT, 'the audit log has one head'); END""",
        """CREATE TRIGGER audit_head_kept BEFORE DELETE ON dashboard_audit_head
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END""",
        """CREATE TRIGGER audit_head_follows BEFORE UPDATE ON dashboard_audit_head
        WHEN NEW.id <> OLD.id OR NEW.number <> OLD.number + 1 OR NOT EXISTS (
            SELECT 1 FROM dashboard_audit
            WHERE number = NEW.number AND at = NEW.at AND digest = NEW.digest)
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END""",
        """CREATE TRIGGER audit_next BEFORE INSERT ON dashboard_audit
        WHEN NEW.number IS NOT (SELECT number + 1 FROM dashboard_audit_head)
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to at its end'); END""",
        """CREATE TRIGGER audit_added AFTER INSERT ON dashboard_audit
        BEGIN UPDATE dashboard_audit_head
            SET number = NEW.number, at = NEW.at, digest = NEW.digest; END""",
        """CREATE TRIGGER audit_unchanged BEFORE UPDATE ON dashboard_audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END""",
        """CREATE TRIGGER audit_kept BEFORE DELETE ON dashboard_audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END""",
    ],
    "postgresql": [
        """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the audit log is only added to'; END $$""",
        """CREATE FUNCTION audit_check_next() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.number IS DISTINCT FROM (SELECT number + 1 FROM dashboard_audit_head) THEN
                RAISE EXCEPTION 'the audit log is only added to at its end';
            END IF;
            RETURN NEW;
        END $$""",
        """CREATE FUNCTION audit_move_head() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE dashboard_audit_head
                SET number = NEW.number, at = NEW.at, digest = NEW.digest;
            RETURN NULL;
        END $$""",
        """CREATE FUNCTION audit_check_head() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF EXISTS (SELECT 1 FROM dashboard_audit_head) THEN
                    RAISE EXCEPTION 'the audit log has one head';
                END IF;
            ELSIF NEW.id <> OLD.id OR NEW.number <> OLD.number + 1 OR NOT EXISTS (
                SELECT 1 FROM dashboard_audit
                WHERE number = NEW.number AND at = NEW.at AND digest = NEW.digest) THEN
                RAISE EXCEPTION 'the audit log is only added to';
            END IF;
            RETURN NEW;
        END $$""",
        """CREATE TRIGGER audit_head_sole BEFORE INSERT ON dashboard_audit_head
        FOR EACH ROW EXECUTE FUNCTION audit_check_head()""",
        """CREATE TRIGGER audit_head_follows BEFORE UPDATE ON dashboard_audit_head
        FOR EACH ROW EXECUTE FUNCTION audit_check_head()""",
        """CREATE TRIGGER audit_head_kept BEFORE DELETE OR TRUNCATE ON dashboard_audit_head
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_next BEFORE INSERT ON dashboard_audit
        FOR EACH ROW EXECUTE FUNCTION audit_check_next()""",
        """CREATE TRIGGER audit_added AFTER INSERT ON dashboard_audit
        FOR EACH ROW EXECUTE FUNCTION audit_move_head()""",
        """CREATE TRIGGER audit_unchanged BEFORE UPDATE ON dashboard_audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_kept BEFORE DELETE OR TRUNCATE ON dashboard_audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    ],
}


def make_tables(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for statement in (TABLES[vendor] + INDEXES).split(";"):
        if statement.strip():
            schema_editor.execute(statement)
    schema_editor.execute(
        "INSERT INTO dashboard_audit_head (id, number, at, digest) VALUES (1, 0, NULL, %s)",
        [bytes(32)],
    )
    for statement in TRIGGERS[vendor]:
        schema_editor.execute(statement)


def allow(apps, schema_editor):
    """Members and admins see who has seen a run; admins read the log itself."""
    permission = import_module("dashboard.migrations.0002_roles").permission
    Group = apps.get_model("auth", "Group")
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="dashboard", model="auditentry"
    )
    see, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename="see_audience", defaults={"name": "Can see who has seen a run"}
    )
    read = permission(apps, "dashboard", "auditentry", "view")
    for name, permissions in {"member": [see], "admin": [see, read]}.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*permissions)


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0005_name_every_link")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "number",
                    models.BigIntegerField(
                        help_text="From 1, without a gap.", primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField()),
                ("act", models.CharField(max_length=32)),
                ("result", models.CharField(max_length=16)),
                (
                    "person",
                    models.BigIntegerField(
                        help_text="Key of the account, if one acted.", null=True
                    ),
                ),
                (
                    "link",
                    models.BigIntegerField(
                        help_text="Key of the link, if it was about one.", null=True
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="Of the account, as it was then.", max_length=150),
                ),
                (
                    "run",
                    models.CharField(
                        help_text="The run's id, if it was about one.", max_length=128
                    ),
                ),
                ("page", models.CharField(max_length=64)),
                ("detail", models.CharField(max_length=300)),
                ("address", models.CharField(help_text="Where it came from.", max_length=64)),
                (
                    "digest",
                    models.BinaryField(
                        help_text="SHA-256 of the row's content after the digest before it.",
                        max_length=32,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "db_table": "dashboard_audit",
                "ordering": ("-number",),
                "permissions": (("see_audience", "Can see who has seen a run"),),
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField(null=True)),
                ("digest", models.BinaryField(max_length=32)),
            ],
            options={
                "db_table": "dashboard_audit_head",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.RunPython(make_tables, migrations.RunPython.noop),
        migrations.RunPython(allow, migrations.RunPython.noop),
    ]
