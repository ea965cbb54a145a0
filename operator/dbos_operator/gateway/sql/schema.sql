-- lock_operator_schema
-- Several loops may work several system schemas of one database, and create this schema at once.
SELECT pg_advisory_xact_lock(hashtextextended('dbos_operator', 0))

-- find_operator_tables
SELECT to_regnamespace('dbos_operator') IS NOT NULL AS schema_exists,
       to_regclass('dbos_operator.layout') IS NOT NULL AND to_regclass('dbos_operator.owned') IS NOT NULL
           AND to_regclass('dbos_operator.executors') IS NOT NULL AS tables_exist

-- check_operator_tables
SELECT has_table_privilege('dbos_operator.owned', 'SELECT, INSERT, UPDATE, DELETE')
       AND has_table_privilege('dbos_operator.executors', 'SELECT, INSERT, UPDATE, DELETE') AS usable

-- create_operator_schema
CREATE SCHEMA dbos_operator

-- create_layout
-- The version of these tables, for operators that find tables of another one.
CREATE TABLE dbos_operator.layout (version integer NOT NULL)

-- create_owned
-- Whose a row of `queues` or `workflow_schedules` is, and what was last written for it.
-- One database may hold several system schemas.
CREATE TABLE dbos_operator.owned (
    system_schema text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    cluster_id text NOT NULL,
    uid text NOT NULL,
    namespace text NOT NULL,
    resource text NOT NULL,
    applied jsonb NOT NULL,
    source text NOT NULL DEFAULT '',
    previous jsonb,
    active_since_ms bigint,
    zone_before text,
    zone_changed_at_ms bigint,
    PRIMARY KEY (system_schema, kind, name)
)

-- create_executors
-- The pods that were really seen under a target: only what they leave behind is ever recovered.
CREATE TABLE dbos_operator.executors (
    system_schema text NOT NULL,
    cluster_id text NOT NULL,
    namespace text NOT NULL,
    executor_id text NOT NULL,
    pod_uid text NOT NULL,
    target_kind text NOT NULL,
    target_name text NOT NULL,
    selector jsonb NOT NULL,
    template text NOT NULL,
    version text,
    seen_at_ms bigint NOT NULL,
    gone_since_ms bigint,
    PRIMARY KEY (system_schema, cluster_id, namespace, executor_id)
)

-- record_layout
INSERT INTO dbos_operator.layout (version) SELECT 1 WHERE NOT EXISTS (SELECT FROM dbos_operator.layout)

-- identify
-- The same for every URL that arrives at this database, and another one for a copy of it on another server.
SELECT current_database() AS database, current_user AS role,
       pg_postmaster_start_time()::text || '/' || oid::text AS identity
  FROM pg_database WHERE datname = current_database()
