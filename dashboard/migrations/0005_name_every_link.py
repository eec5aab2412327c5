from django.db import migrations, models

import dashboard.models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0004_keep_what_links_showed")]

    operations = [
        migrations.AlterField(
            "sharelink",
            "public_id",
            models.CharField(default=dashboard.models.new_public_id, max_length=32, unique=True),
        ),
    ]
