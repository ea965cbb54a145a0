"""The DBOS operator."""
