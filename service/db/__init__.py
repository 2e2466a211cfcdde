"""The database: tables, connections and migrations."""

from service.db.database import Database, open_database

__all__ = ["Database", "open_database"]
