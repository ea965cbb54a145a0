"""The schema on SQLite."""
