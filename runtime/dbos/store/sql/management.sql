-- database_ms
-- Fragment: the database's clock in epoch milliseconds.
(EXTRACT(epoch FROM now()) * 1000)::bigint

-- chosen
-- Fragment: the workflows whose IDs are given.
workflow_uuid = ANY(CAST(:ids AS text[]))

-- children_chosen
-- Fragment: the children of the workflows whose IDs are given.
parent_workflow_id = ANY(CAST(:ids AS text[]))

-- lock_chosen
-- Locks rows in the order of their IDs, so that two changes of many never wait for each other in a circle.
SELECT workflow_uuid, status, queue_name, completed_at FROM {schema}.workflow_status
 WHERE {include chosen} ORDER BY workflow_uuid FOR UPDATE

-- list_children
SELECT workflow_uuid FROM {schema}.workflow_status WHERE {include children_chosen}

-- cancel_chosen
-- A workflow that ended by itself keeps its outcome.
UPDATE {schema}.workflow_status
   SET status = 'CANCELLED', owner_xid = NULL, queue_name = NULL, deduplication_id = NULL,
       started_at_epoch_ms = NULL, completed_at = {include database_ms}, updated_at = {include database_ms}
 WHERE {include chosen} AND status NOT IN ('SUCCESS', 'ERROR')
RETURNING workflow_uuid

-- resume_chosen
-- Runs them anew from their last step; whoever ran one meanwhile no longer owns it. The deadline starts over.
UPDATE {schema}.workflow_status
   SET status = 'ENQUEUED', queue_name = :queue, recovery_attempts = 0, workflow_deadline_epoch_ms = NULL,
       deduplication_id = NULL, started_at_epoch_ms = NULL, completed_at = NULL, owner_xid = NULL,
       updated_at = {include database_ms}
 WHERE {include chosen} AND status NOT IN ('SUCCESS', 'ERROR')
RETURNING workflow_uuid

-- delete_inputs
-- No foreign key leads here from the workflow, so its payloads and steps are deleted one by one.
DELETE FROM {schema}.workflow_input WHERE {include chosen}

-- delete_outputs
DELETE FROM {schema}.workflow_output WHERE {include chosen}

-- delete_steps
DELETE FROM {schema}.operation_outputs WHERE {include chosen}

-- delete_workflows
-- Messages, events and streams go with the row.
DELETE FROM {schema}.workflow_status WHERE {include chosen} RETURNING workflow_uuid

-- set_delay
UPDATE {schema}.workflow_status SET delay_until_epoch_ms = :delay_until_ms, updated_at = {include database_ms}
 WHERE workflow_uuid = :workflow_id AND status = 'DELAYED'
RETURNING workflow_uuid

-- replace_attributes
UPDATE {schema}.workflow_status
   SET attributes = CAST(:attributes AS jsonb), updated_at = {include database_ms}
 WHERE workflow_uuid = :workflow_id
RETURNING workflow_uuid

-- lock_attributes
SELECT attributes FROM {schema}.workflow_status WHERE workflow_uuid = :workflow_id FOR NO KEY UPDATE

-- load_first_ended
SELECT workflow_uuid FROM {schema}.workflow_status
 WHERE {include chosen} AND status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
 ORDER BY completed_at, workflow_uuid LIMIT 1
