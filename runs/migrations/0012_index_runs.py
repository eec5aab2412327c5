import datetime as dt

from django.db import migrations, transaction

from runs import searching

AT_ONCE = 500
MICROSECOND = dt.timedelta(microseconds=1)


def fill(apps, schema_editor):
    """The texts that are searched, and how long each run took."""
    Run = apps.get_model('runs', 'Run')
    named = ('run_id', 'prompt', 'summary', 'started_at', 'completed_at')
    last = 0
    while runs := list(Run.objects.filter(pk__gt=last).order_by('pk').only(*named)[:AT_ONCE]):
        last = runs[-1].pk
        for run in runs:
            if run.started_at and run.completed_at:
                run.lasted_micros = max((run.completed_at - run.started_at) // MICROSECOND, 0)
        with transaction.atomic():
            searching.keep(runs)
            Run.objects.bulk_update(runs, ['lasted_micros'], batch_size=100)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [('runs', '0011_search_and_sort')]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
