from django.db import migrations

# Of a text the last three characters of each word with the first three of the next. It calls
# nothing that is not the server's own, so an index of it can be made anew by any restore.
FUNCTION = """
CREATE OR REPLACE FUNCTION runs_joints(told text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT right(word, 3) || ' ' || left(following, 3)), '{}')
    FROM (
        SELECT word, lead(word) OVER (ORDER BY place) AS following
        FROM unnest(string_to_array(told, ' ')) WITH ORDINALITY AS words (word, place)
    ) AS pairs
    WHERE following IS NOT NULL
$$
"""
INDEX = 'CREATE INDEX {} search_joints ON runs_runtext USING gin (runs_joints(folded))'


def join(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        # Left over, without being complete, where this was cut short.
        schema_editor.execute('DROP INDEX IF EXISTS search_joints')
        schema_editor.execute(FUNCTION)
        # While others write; but a restore makes all tables in one transaction.
        way = '' if schema_editor.connection.in_atomic_block else 'CONCURRENTLY'
        schema_editor.execute(INDEX.format(way))


def part(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute('DROP INDEX IF EXISTS search_joints')
        schema_editor.execute('DROP FUNCTION IF EXISTS runs_joints(text)')


class Migration(migrations.Migration):
    atomic = False

    dependencies = [('runs', '0027_index_overview')]

    operations = [migrations.RunPython(join, part)]
