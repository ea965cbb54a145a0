-- record_steps
-- Checkpoints of many executions at once. The lock on the workflow's row keeps a recovery or resume out
-- between the check of the token and the insert. The answer carries the workflow's status, so that a
-- cancelled workflow learns it here without a read of its own.
WITH record AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:records) AS r(
        workflow_uuid text, owner_xid text, function_id int, function_name text, output text, error text,
        serialization text, child_workflow_id text, started_at_epoch_ms bigint,
        completed_at_epoch_ms bigint, application_name text)
), held AS MATERIALIZED (
    SELECT workflow_uuid, owner_xid, status FROM {schema}.workflow_status
     WHERE workflow_uuid = ANY(:ids) ORDER BY workflow_uuid FOR NO KEY UPDATE
), written AS (
    INSERT INTO {schema}.operation_outputs (
        workflow_uuid, function_id, function_name, output, error, serialization, child_workflow_id,
        started_at_epoch_ms, completed_at_epoch_ms, application_name)
    SELECT record.workflow_uuid, function_id, function_name, output, error, serialization,
           child_workflow_id, started_at_epoch_ms, completed_at_epoch_ms, application_name
      FROM record JOIN held ON held.workflow_uuid = record.workflow_uuid AND held.owner_xid = record.owner_xid
    ON CONFLICT (workflow_uuid, function_id) DO NOTHING
    RETURNING workflow_uuid, function_id
)
SELECT record.workflow_uuid, record.function_id, held.status,
       COALESCE(held.owner_xid = record.owner_xid, false) AS owned,
       written.function_id IS NOT NULL AS written
  FROM record LEFT JOIN held USING (workflow_uuid) LEFT JOIN written USING (workflow_uuid, function_id)

-- steps
-- Fragment: every column that a replay needs.
SELECT function_id, function_name, output, error, serialization, child_workflow_id, started_at_epoch_ms,
       completed_at_epoch_ms
  FROM {schema}.operation_outputs

-- load_steps
{include steps} WHERE workflow_uuid = :workflow_id ORDER BY function_id

-- load_step
{include steps} WHERE workflow_uuid = :workflow_id AND function_id = :function_id

-- lock_workflow
-- The lock keeps recovery, resume and cancellation out until the transaction ends.
SELECT status, owner_xid FROM {schema}.workflow_status WHERE workflow_uuid = :workflow_id FOR NO KEY UPDATE

-- insert_step
INSERT INTO {schema}.operation_outputs (
    workflow_uuid, function_id, function_name, output, error, serialization, child_workflow_id,
    started_at_epoch_ms, completed_at_epoch_ms, application_name)
VALUES (:workflow_id, :function_id, :function_name, :output, :error, :serialization, :child_workflow_id,
        :started_at_ms, :completed_at_ms, :application)

-- load_owners
-- Who owns each of some workflows now.
SELECT workflow_uuid, status, owner_xid FROM {schema}.workflow_status WHERE workflow_uuid = ANY(:ids)
