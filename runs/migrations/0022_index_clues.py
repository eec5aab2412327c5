from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0021_entries_version'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='step',
            name='sync_open_calls',
        ),
        migrations.AddIndex(
            model_name='step',
            index=models.Index(condition=models.Q(('unanswered', True), ('vanished_at', None)), fields=['run', 'partner', 'position'], name='sync_open_calls'),
        ),
        migrations.AddIndex(
            model_name='step',
            index=models.Index(condition=models.Q(('failed', True), ('vanished_at', None)), fields=['run', 'position'], name='clues_of_steps'),
        ),
        migrations.AddIndex(
            model_name='usageentry',
            index=models.Index(condition=models.Q(('status_code__gte', 400), ('vanished_at', None)), fields=['run', 'position'], name='clues_of_entries'),
        ),
    ]
