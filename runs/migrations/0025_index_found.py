from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0024_index_trouble'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('completed_at__isnull', False), ('end_read_at', None)), fields=['completed_at'], name='news_of_found'),
        ),
    ]
