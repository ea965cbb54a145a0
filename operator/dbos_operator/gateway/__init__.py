"""The operator's SQL on the system database."""
