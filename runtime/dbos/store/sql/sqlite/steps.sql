-- insert_owned_steps
INSERT INTO operation_outputs (
    workflow_uuid, function_id, function_name, output, error, serialization, child_workflow_id,
    started_at_epoch_ms, completed_at_epoch_ms, application_name, retention_timestamp)
SELECT record.workflow_uuid, function_id, function_name, record.output, record.error, record.serialization,
       child_workflow_id, record.started_at_epoch_ms, completed_at_epoch_ms, record.application_name,
       (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_to_recordset(:records) AS record(
        workflow_uuid text, owner_xid text, function_id int, function_name text, output text, error text,
        serialization text, child_workflow_id text, started_at_epoch_ms bigint,
        completed_at_epoch_ms bigint, application_name text)
  JOIN workflow_status held ON held.workflow_uuid = record.workflow_uuid AND held.owner_xid = record.owner_xid
 WHERE true
ON CONFLICT (workflow_uuid, function_id) DO NOTHING
RETURNING workflow_uuid, function_id

-- load_ownership
SELECT record.workflow_uuid, function_id, held.status, COALESCE(held.owner_xid = record.owner_xid, FALSE) AS owned
  FROM json_to_recordset(:records) AS record(workflow_uuid text, owner_xid text, function_id int)
  LEFT JOIN workflow_status held ON held.workflow_uuid = record.workflow_uuid
