"""Pure decisions: how many workers."""
