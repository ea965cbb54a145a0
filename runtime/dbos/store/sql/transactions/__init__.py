"""Checkpoints of @DBOS.transaction, in the application's database. `:parameter` is bound by SQLAlchemy."""
