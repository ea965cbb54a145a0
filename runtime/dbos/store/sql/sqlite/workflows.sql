-- insert_rows
WITH {include new_workflows}
INSERT INTO workflow_status ({include new_columns}, attributes, created_at, updated_at)
SELECT {include new_columns}, COALESCE(attributes, 'null'),
       (EXTRACT(epoch FROM now()) * 1000)::bigint, (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM record WHERE true
ON CONFLICT DO NOTHING
RETURNING creator_xid

-- insert_inputs
INSERT INTO workflow_input (workflow_uuid, inputs, retention_timestamp)
SELECT json_extract(value, '$.workflow_uuid'), json_extract(value, '$.inputs'),
       (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_each(:records) WHERE json_extract(value, '$.creator_xid') = ANY(:creators)
ON CONFLICT DO NOTHING

-- insert_parent_steps
INSERT INTO operation_outputs (
    workflow_uuid, function_id, function_name, child_workflow_id, started_at_epoch_ms, completed_at_epoch_ms,
    application_name, retention_timestamp)
SELECT json_extract(value, '$.parent_workflow_id'), json_extract(value, '$.parent_function_id'),
       json_extract(value, '$.name'), json_extract(value, '$.workflow_uuid'),
       json_extract(value, '$.parent_started_ms'), json_extract(value, '$.parent_completed_ms'),
       json_extract(value, '$.application_name'), (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_each(:records) WHERE json_extract(value, '$.creator_xid') = ANY(:creators)
ON CONFLICT DO NOTHING

-- load_parents
SELECT workflow_uuid, owner_xid FROM workflow_status WHERE workflow_uuid = ANY(:parents)

-- load_holders
SELECT workflow_uuid, status, name, class_name, config_name, queue_name, serialization, creator_xid, deduplication_id
  FROM workflow_status WHERE workflow_uuid = ANY(:ids)
UNION ALL
SELECT w.workflow_uuid, w.status, w.name, w.class_name, w.config_name, w.queue_name, w.serialization,
       w.creator_xid, w.deduplication_id
  FROM workflow_status w
  JOIN json_each(:queues) AS queue ON queue.value = w.queue_name
  JOIN json_each(:deduplication_ids) AS held ON held.key = queue.key AND held.value = w.deduplication_id
 WHERE w.deduplication_id IS NOT NULL AND w.workflow_uuid NOT IN (SELECT value FROM json_each(:ids))

-- end_workflows
UPDATE workflow_status
   SET status = record.status, deduplication_id = NULL, owner_xid = NULL,
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
       completed_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_to_recordset(:records) AS record(workflow_uuid text, owner_xid text, status text)
 WHERE workflow_status.workflow_uuid = record.workflow_uuid AND workflow_status.owner_xid = record.owner_xid
   AND workflow_status.status = 'PENDING'
RETURNING workflow_uuid

-- insert_outputs
INSERT INTO workflow_output (workflow_uuid, output, error, retention_timestamp)
SELECT workflow_uuid, output, error, (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_to_recordset(:records) AS record(workflow_uuid text, output text, error text)
 WHERE workflow_uuid = ANY(:ids)
ON CONFLICT (workflow_uuid) DO UPDATE SET output = excluded.output, error = excluded.error
