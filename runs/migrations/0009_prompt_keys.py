from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0008_fingerprints'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='prompt_key',
            field=models.CharField(help_text='See runs.prompts; null while the prompt is cut.', max_length=32, null=True),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['prompt_key', '-id'], name='compare_same_prompt'),
        ),
    ]
