from itertools import batched

from django.db import migrations, transaction

from runs import outlines
from runs.models import Run


def fill(apps, schema_editor):
    """Judge and pair the steps of every run, a hundred runs a transaction."""
    Step = apps.get_model("runs", "Step")
    # `outlines` names each column that it reads or writes, so it may be used here as it is.
    runs = Step.objects.order_by("run_id").values_list("run_id", flat=True).distinct()
    for some in batched(list(runs), 100):
        with transaction.atomic():
            for pk in some:
                outlines.rebuild(Run(pk=pk), judge=True)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("runs", "0006_outlines")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
