-- The one row that every SDK reads before it touches anything.

INSERT INTO {schema}.dbos_migrations (version) VALUES (125);
