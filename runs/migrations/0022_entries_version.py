from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0019_end_read_at'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='entries_version',
            field=models.PositiveBigIntegerField(help_text='In which the entries last changed; null if before this was kept.', null=True),
        ),
    ]
