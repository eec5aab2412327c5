from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0023_match_by_time'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='poll',
            index=models.Index(condition=models.Q(('failures__gt', 0)), fields=['-last_error_at'], name='status_failing'),
        ),
        migrations.AddIndex(
            model_name='poll',
            index=models.Index(condition=models.Q(('quarantined_at__isnull', False)), fields=['-quarantined_at', '-run'], name='overview_unread'),
        ),
    ]
