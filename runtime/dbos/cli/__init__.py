"""The `dbos` command."""
