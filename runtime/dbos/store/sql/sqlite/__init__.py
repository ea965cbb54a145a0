"""Statements of the catalogue that SQLite needs in another form, by the same name."""
