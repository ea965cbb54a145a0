"""The operator's statements, one file a subject."""
