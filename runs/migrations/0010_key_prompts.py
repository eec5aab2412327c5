from django.db import migrations

from runs import prompts

AT_ONCE = 200


def key_prompts(apps, schema_editor):
    """Keys for the prompts that are stored whole, a few rows in memory at a time."""
    Run = apps.get_model('runs', 'Run')
    keyless = Run.objects.filter(prompt_key=None, prompt_is_cut=False).exclude(prompt=None).order_by('pk')
    last = 0
    while rows := list(keyless.filter(pk__gt=last).only('prompt')[:AT_ONCE]):
        last = rows[-1].pk
        for run in rows:
            run.prompt_key = prompts.key(run.prompt)
        Run.objects.bulk_update([run for run in rows if run.prompt_key], ['prompt_key'])


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0009_prompt_keys'),
    ]

    operations = [
        migrations.RunPython(key_prompts, migrations.RunPython.noop),
    ]
