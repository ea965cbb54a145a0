"""The schema of the system database: what it must hold, how it is looked at, how it is created."""
