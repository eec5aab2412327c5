from django.db import migrations, models
from django.db.models import F, Q

ENDED = ('completed', 'failed', 'cancelled')


def fill(apps, schema_editor):
    """As `Run.disagrees` says."""
    costs_differ = Q(
        ~Q(summary_cost_micros=F('entries_cost_micros')),
        summary_cost_micros__isnull=False,
        entries_cost_micros__isnull=False,
        status__in=ENDED,
    )
    is_strange = ~Q(status__in=('queued', 'running', *ENDED, ''))
    runs = apps.get_model('runs', 'Run').objects
    runs.filter(costs_differ | is_strange | ~Q(contradictions=[])).update(odd_at=F('listed_at'))


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0026_odd_at'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['status', '-completed_at', '-id'], name='overview_failures'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('odd_at__isnull', False)), fields=['-odd_at', '-id'], name='overview_odd'),
        ),
    ]
