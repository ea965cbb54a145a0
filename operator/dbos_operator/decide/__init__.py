"""Pure decisions: what to change, and why."""
