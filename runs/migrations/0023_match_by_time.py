from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0022_index_clues'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='usageentry',
            index=models.Index(condition=models.Q(('timestamp__isnull', False), ('vanished_at', None)), fields=['run', 'timestamp'], name='match_by_time'),
        ),
    ]
