"""Checkpoints of datasources, in the database of the user. `:parameter` is bound by SQLAlchemy."""
