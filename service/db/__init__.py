"""The database: its tables, how to open it, how it came to its present shape."""

from service.db.database import Database, open_database

__all__ = ["Database", "open_database"]
