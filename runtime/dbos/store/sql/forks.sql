-- fork_workflow
-- The copy of a workflow, to be run by whoever takes it from its queue.
INSERT INTO {schema}.workflow_status (
    workflow_uuid, status, name, class_name, config_name, authenticated_user, assumed_role, authenticated_roles,
    application_id, serialization, attributes, application_name, forked_from, application_version, queue_name,
    queue_partition_key, workflow_timeout_ms, recovery_attempts, priority)
SELECT :fork_id, 'ENQUEUED', name, class_name, config_name, authenticated_user, assumed_role, authenticated_roles,
       application_id, serialization, attributes, COALESCE(application_name, :application), workflow_uuid,
       :version, :queue, :partition_key, :timeout_ms, 0, 0
  FROM {schema}.workflow_status WHERE workflow_uuid = :workflow_id
ON CONFLICT DO NOTHING
RETURNING workflow_uuid

-- load_fork
-- What holds the ID of a fork that did not go in.
SELECT workflow_uuid, status, name, forked_from FROM {schema}.workflow_status WHERE workflow_uuid = :fork_id

-- mark_forked
UPDATE {schema}.workflow_status SET was_forked_from = true WHERE workflow_uuid = :workflow_id RETURNING workflow_uuid

-- fork_input
INSERT INTO {schema}.workflow_input (workflow_uuid, inputs)
SELECT :fork_id, COALESCE(payload.inputs, workflow.inputs)
  FROM {schema}.workflow_status workflow
  LEFT JOIN {schema}.workflow_input payload ON payload.workflow_uuid = workflow.workflow_uuid
 WHERE workflow.workflow_uuid = :workflow_id

-- fork_steps
INSERT INTO {schema}.operation_outputs (
    workflow_uuid, function_id, function_name, output, error, child_workflow_id, started_at_epoch_ms,
    completed_at_epoch_ms, serialization, application_name)
SELECT :fork_id, function_id, function_name, output, error, child_workflow_id, started_at_epoch_ms,
       completed_at_epoch_ms, serialization, application_name
  FROM {schema}.operation_outputs WHERE workflow_uuid = :workflow_id AND function_id < :start_step

-- replace_child
UPDATE {schema}.operation_outputs SET child_workflow_id = :replacement
 WHERE workflow_uuid = :fork_id AND child_workflow_id = :child

-- fork_history
INSERT INTO {schema}.workflow_events_history (workflow_uuid, function_id, key, value, serialization)
SELECT :fork_id, function_id, key, value, serialization
  FROM {schema}.workflow_events_history WHERE workflow_uuid = :workflow_id AND function_id < :start_step

-- fork_streams
INSERT INTO {schema}.streams (workflow_uuid, key, value, "offset", function_id, serialization)
SELECT :fork_id, key, value, "offset", function_id, serialization
  FROM {schema}.streams WHERE workflow_uuid = :workflow_id AND function_id < :start_step

-- rebuild_events
-- The latest value of each event that has a history and no value.
INSERT INTO {schema}.workflow_events (workflow_uuid, key, value, serialization)
SELECT workflow_uuid, key, value, serialization FROM {schema}.workflow_events_history AS latest
 WHERE workflow_uuid = :workflow_id AND function_id = (
     SELECT MAX(function_id) FROM {schema}.workflow_events_history
      WHERE workflow_uuid = latest.workflow_uuid AND key = latest.key)
ON CONFLICT DO NOTHING

-- forget_events
-- The events that were set at or after a step; what they were before is rebuilt from the history.
DELETE FROM {schema}.workflow_events
 WHERE workflow_uuid = :workflow_id AND key IN (
     SELECT key FROM {schema}.workflow_events_history
      WHERE workflow_uuid = :workflow_id AND function_id >= :start_step)

-- forget_history
DELETE FROM {schema}.workflow_events_history WHERE workflow_uuid = :workflow_id AND function_id >= :start_step

-- forget_steps
DELETE FROM {schema}.operation_outputs WHERE workflow_uuid = :workflow_id AND function_id >= :start_step

-- reopen_streams
-- Values stay; what closed a stream at or after the step goes, or nothing more could be written to it.
DELETE FROM {schema}.streams
 WHERE workflow_uuid = :workflow_id AND function_id >= :start_step
   AND value = '"__DBOS_STREAM_CLOSED__"' AND serialization = 'portable_json'

-- forget_messages
-- Messages that were received at or after the step, and those that nobody received: the run sends for new ones.
DELETE FROM {schema}.notifications
 WHERE destination_uuid = :workflow_id AND (NOT consumed OR consumed_by_function_id >= :start_step)

-- forget_outcome
DELETE FROM {schema}.workflow_output WHERE workflow_uuid = :workflow_id

-- rewind_workflow
UPDATE {schema}.workflow_status
   SET status = 'ENQUEUED', queue_name = :queue, queue_partition_key = :partition_key,
       application_version = COALESCE(:version, application_version), recovery_attempts = 0,
       workflow_deadline_epoch_ms = NULL, deduplication_id = NULL, started_at_epoch_ms = NULL,
       completed_at = NULL, owner_xid = NULL, output = NULL, error = NULL,
       updated_at = {include database_ms}
 WHERE workflow_uuid = :workflow_id
   AND status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
RETURNING workflow_uuid
