"""The DBOS runtime."""
