-- new_columns
-- Fragment: what a start or an enqueue writes, attributes apart.
workflow_uuid, status, name, creator_xid, serialization, owner_xid, class_name, config_name,
queue_name, executor_id, application_name, application_version, application_id,
recovery_attempts, workflow_timeout_ms, workflow_deadline_epoch_ms, delay_until_epoch_ms,
deduplication_id, priority, queue_partition_key, authenticated_user, assumed_role, authenticated_roles,
is_debounced, debounce_deadline_epoch_ms, parent_workflow_id

-- new_workflows
-- Fragment: the records of starts and enqueues.
record AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:records) AS r(
        workflow_uuid text, status text, name text, creator_xid text, inputs text, serialization text,
        owner_xid text, class_name text, config_name text, queue_name text, executor_id text,
        application_name text, application_version text, application_id text, recovery_attempts bigint,
        workflow_timeout_ms bigint, workflow_deadline_epoch_ms bigint, delay_until_epoch_ms bigint,
        deduplication_id text, priority int, queue_partition_key text, authenticated_user text,
        assumed_role text, authenticated_roles text, attributes jsonb, is_debounced boolean,
        debounce_deadline_epoch_ms bigint, parent_workflow_id text, parent_owner text, parent_function_id int,
        parent_started_ms bigint, parent_completed_ms bigint)
)

-- insert_allowed
-- Fragment: a taken ID or deduplication ID is a normal outcome. DO NOTHING without a target covers both
-- unique indexes, and the loser is looked at afterwards.
inserted AS (
    INSERT INTO {schema}.workflow_status ({include new_columns}, attributes)
    SELECT {include new_columns}, COALESCE(attributes, 'null'::jsonb)
      FROM allowed
    ON CONFLICT DO NOTHING
    RETURNING creator_xid
), payload AS (
    INSERT INTO {schema}.workflow_input (workflow_uuid, inputs)
    SELECT workflow_uuid, inputs FROM allowed JOIN inserted USING (creator_xid)
    ON CONFLICT DO NOTHING
)

-- insert_workflow
-- One start or enqueue alone, without the detour over JSON: most callers come one by one.
WITH inserted AS (
    INSERT INTO {schema}.workflow_status ({include new_columns}, attributes)
    VALUES (:workflow_uuid, :status, :name, :creator_xid, :serialization, :owner_xid, :class_name, :config_name,
            :queue_name, :executor_id, :application_name, :application_version, :application_id,
            :recovery_attempts, :workflow_timeout_ms, :workflow_deadline_epoch_ms, :delay_until_epoch_ms,
            :deduplication_id, :priority, :queue_partition_key, :authenticated_user, :assumed_role,
            :authenticated_roles, :is_debounced, :debounce_deadline_epoch_ms, :parent_workflow_id,
            COALESCE(CAST(:attributes AS jsonb), 'null'::jsonb))
    ON CONFLICT DO NOTHING
    RETURNING workflow_uuid, creator_xid
), payload AS (
    INSERT INTO {schema}.workflow_input (workflow_uuid, inputs)
    SELECT workflow_uuid, :inputs FROM inserted
    ON CONFLICT DO NOTHING
)
SELECT creator_xid, true AS created FROM inserted

-- insert_workflows
-- Starts and enqueues of many callers at once; gives the ones that went in.
WITH {include new_workflows}, allowed AS (SELECT * FROM record), {include insert_allowed}
SELECT creator_xid, true AS created, true AS allowed FROM inserted

-- insert_children
-- The same for children: each goes in only while its parent's execution still owns the parent, and with
-- it the parent's step.
WITH {include new_workflows}, parent AS MATERIALIZED (
    SELECT workflow_uuid, owner_xid FROM {schema}.workflow_status
     WHERE workflow_uuid = ANY(:parents) ORDER BY workflow_uuid FOR NO KEY UPDATE
), allowed AS MATERIALIZED (
    SELECT record.* FROM record JOIN parent ON parent.workflow_uuid = record.parent_workflow_id
     WHERE parent.owner_xid = record.parent_owner
), {include insert_allowed}, step AS (
    INSERT INTO {schema}.operation_outputs (
        workflow_uuid, function_id, function_name, child_workflow_id, started_at_epoch_ms,
        completed_at_epoch_ms, application_name)
    SELECT parent_workflow_id, parent_function_id, name, workflow_uuid, parent_started_ms,
           parent_completed_ms, application_name
      FROM allowed JOIN inserted USING (creator_xid)
    ON CONFLICT DO NOTHING
)
SELECT allowed.creator_xid, inserted.creator_xid IS NOT NULL AS created, true AS allowed
  FROM allowed LEFT JOIN inserted USING (creator_xid)

-- load_holders
-- The rows that hold the IDs, and those that hold the deduplication IDs, of starts that lost.
SELECT workflow_uuid, status, name, class_name, config_name, queue_name, serialization, creator_xid, deduplication_id
  FROM {schema}.workflow_status WHERE workflow_uuid = ANY(:ids)
UNION ALL
SELECT w.workflow_uuid, w.status, w.name, w.class_name, w.config_name, w.queue_name, w.serialization,
       w.creator_xid, w.deduplication_id
  FROM {schema}.workflow_status w
  JOIN unnest(CAST(:queues AS text[]), CAST(:deduplication_ids AS text[])) AS sought(queue_name, deduplication_id)
    ON w.queue_name = sought.queue_name AND w.deduplication_id = sought.deduplication_id
 WHERE w.deduplication_id IS NOT NULL AND NOT w.workflow_uuid = ANY(:ids)

-- record_outcomes
-- Ends executions. A row that is no longer PENDING under the execution's token is left alone: it was
-- cancelled, resumed or recovered meanwhile. The rows are locked in order, so that two batches never
-- wait for each other in a circle; what they hold is read with the lock, so that the update needs the
-- primary key alone.
WITH record AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:records) AS r(
        workflow_uuid text, owner_xid text, status text, output text, error text)
), held AS MATERIALIZED (
    SELECT workflow_uuid, owner_xid, status FROM {schema}.workflow_status
     WHERE workflow_uuid = ANY(:ids) ORDER BY workflow_uuid FOR NO KEY UPDATE
), ended AS (
    UPDATE {schema}.workflow_status AS workflow
       SET status = record.status, deduplication_id = NULL, owner_xid = NULL,
           updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
           completed_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
      FROM record JOIN held ON held.workflow_uuid = record.workflow_uuid
                           AND held.owner_xid = record.owner_xid AND held.status = 'PENDING'
     WHERE workflow.workflow_uuid = held.workflow_uuid
    RETURNING workflow.workflow_uuid, record.output, record.error
), payload AS (
    INSERT INTO {schema}.workflow_output (workflow_uuid, output, error)
    SELECT workflow_uuid, output, error FROM ended
    ON CONFLICT (workflow_uuid) DO UPDATE SET output = excluded.output, error = excluded.error
)
SELECT workflow_uuid FROM ended

-- load_result
SELECT w.status, w.serialization, COALESCE(o.output, w.output) AS output, COALESCE(o.error, w.error) AS error
  FROM {schema}.workflow_status w LEFT JOIN {schema}.workflow_output o USING (workflow_uuid)
 WHERE w.workflow_uuid = :workflow_id

-- load_status
SELECT status, owner_xid FROM {schema}.workflow_status WHERE workflow_uuid = :workflow_id
