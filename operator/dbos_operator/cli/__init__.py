"""The `dbos-operator` command."""
