"""Lookups of our own."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, ForeignKey, Lookup
from django.db.models.sql.compiler import SQLCompiler


class Among(Lookup):
    """`pk__among=keys`: one of whole numbers, thousands perhaps, sent as one value. `pk__in` has
    a mark for each of them, and to write and to read all these marks takes longer than the search.
    """

    lookup_name = "among"

    def get_prep_lookup(self) -> Any:
        return ",".join(map(str, map(int, self.rhs)))

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        if not self.rhs:
            raise EmptyResultSet
        column, params = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            return f"{column} = ANY (%s::bigint[])", (*params, f"{{{self.rhs}}}")
        return f"{column} IN (SELECT value FROM json_each(%s))", (*params, f"[{self.rhs}]")


def register() -> None:
    BigAutoField.register_lookup(Among)
    ForeignKey.register_lookup(Among)
