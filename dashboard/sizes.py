"""How many bytes a text column holds, asked of the database so that the text stays there."""

from typing import Any

from django.db.models import Func, IntegerField
from django.db.models.sql.compiler import SQLCompiler


class Octets(Func):
    """Bytes of a text in UTF-8; null for null."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> Any:
        # Older SQLite has no octet_length, and its length() counts characters of a text.
        return self.as_sql(
            compiler,
            connection,
            function="LENGTH",
            template="%(function)s(CAST(%(expressions)s AS BLOB))",
            **extra,
        )
