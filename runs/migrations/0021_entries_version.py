from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0020_spent_by_day'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='entries_version',
            field=models.PositiveBigIntegerField(help_text='In which the entries last changed; null if before this was kept.', null=True),
        ),
    ]
