-- load_checkpoint
-- The table has no column for the format: it is the application's own.
SELECT output, error, NULL AS serialization
  FROM {schema}.transaction_outputs
 WHERE workflow_uuid = :workflow_id AND function_id = :step_id

-- insert_checkpoint
-- The primary key lets one of several executions of a step through.
INSERT INTO {schema}.transaction_outputs (
    workflow_uuid, function_id, output, error, txn_id, txn_snapshot, executor_id, function_name)
VALUES (:workflow_id, :step_id, :output, :error, '', '', :executor_id, :function_name)

-- find_checkpoints
SELECT DISTINCT workflow_uuid FROM {schema}.transaction_outputs WHERE workflow_uuid IN :workflow_ids

-- delete_checkpoints
DELETE FROM {schema}.transaction_outputs WHERE workflow_uuid = :workflow_id AND function_id >= :first_step

-- create_checkpoint_table
CREATE TABLE IF NOT EXISTS {schema}.transaction_outputs (
    workflow_uuid text NOT NULL,
    function_id int NOT NULL,
    output text,
    error text,
    txn_id text,
    txn_snapshot text NOT NULL,
    executor_id text,
    function_name text NOT NULL DEFAULT '',
    created_at bigint NOT NULL DEFAULT {clock},
    PRIMARY KEY (workflow_uuid, function_id)
)

-- create_index
CREATE INDEX IF NOT EXISTS transaction_outputs_created_at_index ON {schema}.transaction_outputs (created_at)
