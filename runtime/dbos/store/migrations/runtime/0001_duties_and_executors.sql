-- Which process of an application does what only one should do, and until when by the database's clock.
CREATE TABLE {runtime}duties (
    system_schema text NOT NULL,
    application text NOT NULL,
    duty text NOT NULL,
    holder text NOT NULL,
    until_ms bigint NOT NULL,
    PRIMARY KEY (system_schema, application, duty)
){rewritten};

-- The processes that run workflows. Owner tokens of what a process runs begin with its process_token, so that
-- rows tell whose they are. lock_key is the advisory lock that it holds while it is connected; NULL where it
-- cannot hold one. machine and process_started make its pid unambiguous.
CREATE TABLE {runtime}executors (
    system_schema text NOT NULL,
    process_token text NOT NULL,
    application text NOT NULL,
    executor_id text NOT NULL,
    version text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    machine text,
    process_started text,
    lock_key bigint,
    grace_ms bigint NOT NULL,
    lease_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    heartbeat_ms bigint NOT NULL,
    steady_since_ms bigint NOT NULL,
    gone_ms bigint,
    PRIMARY KEY (system_schema, process_token)
){rewritten};
