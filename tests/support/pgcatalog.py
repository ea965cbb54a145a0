"""What the catalogue of PostgreSQL says about a schema, as lines that can be compared."""

from __future__ import annotations

import psycopg

_QUERIES = {
    "tables": """
        SELECT format('%s kind=%s persistence=%s options=%s', relname, relkind, relpersistence, reloptions)
          FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind <> 'i'
    """,
    "columns": """
        SELECT format('%s #%s %s %s not null=%s default=%s identity=%s generated=%s collation=%s storage=%s',
                      relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
                      pg_get_expr(adbin, adrelid), attidentity, attgenerated, attcollation, attstorage)
          FROM pg_class
          JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'p', 'v')
    """,
    "constraints": """
        SELECT format('%s.%s %s deferrable=%s validated=%s',
                      conrelid::regclass, conname, pg_get_constraintdef(oid), condeferrable, convalidated)
          FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace AND contype <> 'n'
    """,
    "indexes": """
        SELECT format('%s valid=%s unique=%s', pg_get_indexdef(indexrelid), indisvalid, indisunique)
          FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE relnamespace = %(schema)s::regnamespace
    """,
    "functions": """
        SELECT format('%s(%s) returns %s language=%s volatility=%s parallel=%s strict=%s definer=%s settings=%s',
                      proname, pg_get_function_arguments(pg_proc.oid), pg_get_function_result(pg_proc.oid),
                      lanname, provolatile, proparallel, proisstrict, prosecdef, proconfig)
          FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
         WHERE pronamespace = %(schema)s::regnamespace
    """,
    "triggers": """
        SELECT format('%s enabled=%s', pg_get_triggerdef(pg_trigger.oid), tgenabled)
          FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
         WHERE relnamespace = %(schema)s::regnamespace AND NOT tgisinternal
    """,
    "types": """
        SELECT format('%s type=%s', typname, typtype)
          FROM pg_type WHERE typnamespace = %(schema)s::regnamespace AND typtype NOT IN ('b', 'c')
    """,
}


def read_catalog(url: str, schema: str = "dbos") -> dict[str, list[str]]:
    """Every object of a schema by kind, one sorted line each; the schema's own name does not show.

    The bodies of functions are left out: how they behave is compared by calling them.
    """
    quoted = '"' + schema.replace('"', '""') + '"'
    spelled = sorted({quoted, schema}, key=len, reverse=True)
    found: dict[str, list[str]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for kind, query in _QUERIES.items():
            # Doubled for psycopg, which reads a lone percent sign as a placeholder.
            text = query.replace("%s", "%%s")
            lines = [str(row[0]) for row in connection.execute(text.encode(), {"schema": quoted})]
            for name in spelled:
                lines = [line.replace(f"{name}.", "SCHEMA.") for line in lines]
            found[kind] = sorted(lines)
    return found
