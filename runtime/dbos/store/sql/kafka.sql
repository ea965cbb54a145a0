-- insert_consumed
-- The workflows of messages, each once for its ID: one that is delivered again changes nothing. They go in by their
-- IDs in order, so that two consumers of one partition never wait for each other in a circle. The time is given:
-- messages of one lane are a millisecond apart, which keeps their order whatever becomes of their rows.
INSERT INTO {schema}.workflow_status (
    workflow_uuid, status, name, queue_name, queue_partition_key, executor_id, application_id, application_name,
    application_version, serialization, attributes, recovery_attempts, priority, created_at, updated_at)
SELECT workflow_uuid, 'ENQUEUED', name, queue_name, queue_partition_key, executor_id, application_id, application_name,
       application_version, serialization, 'null'::jsonb, 0, 0, created_at, created_at
  FROM json_to_recordset(:messages) AS message(
       workflow_uuid text, name text, queue_name text, queue_partition_key text, executor_id text,
       application_id text, application_name text, application_version text, serialization text, created_at bigint)
 WHERE true
 ORDER BY workflow_uuid
ON CONFLICT DO NOTHING
RETURNING workflow_uuid

-- insert_message_inputs
INSERT INTO {schema}.workflow_input (workflow_uuid, inputs, retention_timestamp)
SELECT workflow_uuid, inputs, created_at
  FROM json_to_recordset(:messages) AS message(workflow_uuid text, inputs text, created_at bigint)
 WHERE workflow_uuid = ANY(:ids)
ON CONFLICT DO NOTHING
