-- load_checkpoint
SELECT output, error, serialization
  FROM {schema}.datasource_outputs
 WHERE workflow_id = :workflow_id AND step_id = :step_id

-- insert_checkpoint
-- The primary key lets one of several executions of a step through.
INSERT INTO {schema}.datasource_outputs (workflow_id, step_id, output, error, serialization)
VALUES (:workflow_id, :step_id, :output, :error, :serialization)

-- find_checkpoints
SELECT DISTINCT workflow_id FROM {schema}.datasource_outputs WHERE workflow_id IN :workflow_ids

-- delete_checkpoints
DELETE FROM {schema}.datasource_outputs WHERE workflow_id = :workflow_id AND step_id >= :first_step

-- load_version
SELECT max(version) AS version FROM {schema}.dbos_datasource_migrations

-- create_version_table
CREATE TABLE IF NOT EXISTS {schema}.dbos_datasource_migrations (version bigint NOT NULL PRIMARY KEY)

-- create_checkpoint_table
CREATE TABLE IF NOT EXISTS {schema}.datasource_outputs (
    workflow_id text NOT NULL,
    step_id int NOT NULL,
    output text,
    error text,
    serialization text,
    created_at bigint NOT NULL DEFAULT {clock},
    PRIMARY KEY (workflow_id, step_id)
)

-- insert_version
INSERT INTO {schema}.dbos_datasource_migrations (version)
SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {schema}.dbos_datasource_migrations)
