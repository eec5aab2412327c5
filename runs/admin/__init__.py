"""The Django admin of the record. Importing this package registers every model."""

from runs.admin import parts, polling, run

__all__ = ["parts", "polling", "run"]
