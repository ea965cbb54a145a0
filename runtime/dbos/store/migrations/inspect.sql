-- inspect_schema
-- All that decides whether a schema can be used, from the catalogue, which every role may read.
-- ts_stat runs its argument as a query: the one built-in way to read a table that may not be there
-- without a second statement, and without an error that would end the caller's transaction.
WITH place AS (
    SELECT namespace.oid, has_schema_privilege(namespace.oid, 'USAGE') AS reachable
      FROM pg_catalog.pg_namespace AS namespace
     WHERE namespace.nspname = CAST(:schema AS text)
), known AS (
    SELECT relation.oid, relation.relname, place.reachable
      FROM place
      JOIN pg_catalog.pg_class AS relation ON relation.relnamespace = place.oid
     WHERE relation.relname = ANY (CAST(:tables AS text[]))
       AND relation.relkind IN ('r', 'p')
), present AS (
    SELECT known.relname || '.' || attribute.attname AS name
      FROM known
      JOIN pg_catalog.pg_attribute AS attribute
        ON attribute.attrelid = known.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
), unique_keys AS (
    -- An index that is not valid is what a failed CREATE INDEX CONCURRENTLY leaves behind: it enforces nothing.
    SELECT known.relname || '(' || string_agg(attribute.attname, ', ' ORDER BY attribute.attname) || ')' AS name
      FROM known
      JOIN pg_catalog.pg_index AS unique_index
        ON unique_index.indrelid = known.oid AND unique_index.indisunique AND unique_index.indisvalid
      JOIN pg_catalog.pg_attribute AS attribute
        ON attribute.attrelid = known.oid
       AND attribute.attnum = ANY ((unique_index.indkey::int2[])[0:unique_index.indnkeyatts - 1])
     GROUP BY unique_index.indexrelid, known.relname
), bookkeeping AS (
    SELECT known.reachable AND has_table_privilege(known.oid, 'SELECT') AS readable
      FROM known
     WHERE known.relname = 'dbos_migrations'
       AND EXISTS (SELECT FROM present WHERE present.name = 'dbos_migrations.version')
)
SELECT EXISTS (SELECT FROM place) AS schema_exists,
       COALESCE((SELECT array_agg(known.relname::text) FROM known), '{}') AS tables,
       COALESCE((SELECT array_agg(present.name) FROM present), '{}') AS columns,
       COALESCE((SELECT array_agg(unique_keys.name) FROM unique_keys), '{}') AS unique_keys,
       (SELECT readable FROM bookkeeping) AS version_readable,
       (SELECT max(word::bigint)
          FROM ts_stat(CASE WHEN (SELECT readable FROM bookkeeping)
                            THEN format('SELECT version::text::tsvector FROM %I.dbos_migrations', CAST(:schema AS text))
                            ELSE 'SELECT NULL::tsvector WHERE false'
                        END)) AS version
