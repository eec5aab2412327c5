from django.conf import settings
from django.db import migrations, models
from django.utils import timezone


def fill(apps, schema_editor):
    """What all runs come to by now, as `runs.spending` counts them."""
    zone = timezone.get_default_timezone()
    groups = {}
    names = 'listed_at', 'agent_id', 'usage_model', 'model', 'cost_micros', 'status', 'version'
    runs = apps.get_model('runs', 'Run').objects.order_by().values_list(*names)
    for at, agent, used, model, micros, status, version in runs.iterator(chunk_size=5_000):
        try:
            day = at.astimezone(zone).date()
        except OverflowError:
            day = at.date()
        group = groups.setdefault((day, agent, model if used is None else used), [0] * 5)
        group[0] += micros or 0
        group[1] += 1
        if micros is None:
            group[3 if status in ('queued', 'running') else 2 if version else 4] += 1
    SpentByDay = apps.get_model('runs', 'SpentByDay')
    SpentByDay.objects.bulk_create(
        [
            SpentByDay(
                day=day, agent_id=agent, model=model,
                micros=micros, runs=count, silent=silent, open=open, unread=unread,
            )
            for (day, agent, model), (micros, count, silent, open, unread) in groups.items()
        ],
        batch_size=5_000,
    )
    apps.get_model('runs', 'SpentInAll').objects.create(
        pk=1, micros=sum(group[0] for group in groups.values()), zone=settings.TIME_ZONE
    )


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0019_end_read_at'),
    ]

    operations = [
        # What it holds is counted anew. An older version that still goes on can add no more to it.
        migrations.DeleteModel(
            name='Spent',
        ),
        migrations.CreateModel(
            name='Spent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('agent_id', models.CharField(max_length=200, null=True)),
                ('model', models.CharField(max_length=200, null=True)),
                ('micros', models.BigIntegerField()),
                ('runs', models.BigIntegerField()),
                ('silent', models.BigIntegerField()),
                ('open', models.BigIntegerField()),
                ('unread', models.BigIntegerField()),
                ('listed_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='SpentByDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('agent_id', models.CharField(max_length=200, null=True)),
                ('model', models.CharField(max_length=200, null=True)),
                ('micros', models.BigIntegerField()),
                ('runs', models.BigIntegerField()),
                ('silent', models.BigIntegerField()),
                ('open', models.BigIntegerField()),
                ('unread', models.BigIntegerField()),
                ('day', models.DateField()),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['day'], name='overview_days')],
            },
        ),
        migrations.CreateModel(
            name='SpentInAll',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('micros', models.BigIntegerField(default=0)),
                ('zone', models.CharField(help_text='TIME_ZONE when the days were made.', max_length=100)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
