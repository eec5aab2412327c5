from django.db import migrations, models
from django.db.models import F

ENDED = ('completed', 'failed', 'cancelled')


def fill(apps, schema_editor):
    """The old index finds the few that go on."""
    runs = apps.get_model('runs', 'Run').objects.filter(lasted_micros=None, completed_at=None)
    going = runs.filter(started_at__isnull=False).exclude(status__in=ENDED)
    going.update(going_since=F('started_at'))


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0016_going_since'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.RemoveIndex(
            model_name='run',
            name='list_going',
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('going_since__isnull', False)), fields=['going_since', '-id'], name='list_going'),
        ),
    ]
