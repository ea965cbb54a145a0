-- fire_runs
-- The ID decides between operator and workers: whoever comes second inserts nothing. A run that a worker started
-- under the time zone before counts as this one.
WITH due AS (
    SELECT run.*
      FROM json_to_recordset(CAST(:rows AS json))
        AS run(workflow_id text, other_ids text[], uid text, schedule_name text, schedule_id text, due text,
               due_ms bigint, workflow_name text, class_name text, queue_name text, application_name text, inputs text)
      JOIN {schema}.workflow_schedules AS schedule
        ON schedule.schedule_name = run.schedule_name AND schedule.schedule_id = run.schedule_id
       AND schedule.status = 'ACTIVE'
      JOIN dbos_operator.owned AS record
        ON record.system_schema = :system_schema AND record.kind = 'DBOSSchedule'
       AND record.name = run.schedule_name AND record.uid = run.uid
     WHERE NOT EXISTS (SELECT FROM {schema}.workflow_status AS other WHERE other.workflow_uuid = ANY(run.other_ids))
), fired AS (
    INSERT INTO {schema}.workflow_status (
        workflow_uuid, status, name, class_name, queue_name, schedule_name, application_name, attributes,
        recovery_attempts, priority)
    SELECT workflow_id, 'ENQUEUED', workflow_name, class_name, queue_name, schedule_name, application_name,
           'null'::jsonb, 0, 0
      FROM due ORDER BY workflow_id
    ON CONFLICT (workflow_uuid) DO NOTHING
    RETURNING workflow_uuid
), written AS (
    INSERT INTO {schema}.workflow_input (workflow_uuid, inputs)
    SELECT due.workflow_id, due.inputs FROM due JOIN fired ON fired.workflow_uuid = due.workflow_id
    ON CONFLICT (workflow_uuid) DO NOTHING
), noted AS (
    UPDATE {schema}.workflow_schedules AS schedule
       SET last_fired_at = newest.due
      FROM (SELECT DISTINCT ON (schedule_name) schedule_name, schedule_id, due
              FROM due ORDER BY schedule_name, due_ms DESC) AS newest
     WHERE schedule.schedule_name = newest.schedule_name AND schedule.schedule_id = newest.schedule_id
       AND schedule.last_fired_at IS DISTINCT FROM newest.due
)
SELECT due.workflow_id, due.queue_name FROM due JOIN fired ON fired.workflow_uuid = due.workflow_id

-- recover_workflows
-- Only what an executor left that is recorded as gone, and only as its rows were read: a row that somebody took
-- meanwhile has another owner. What an executor has claimed since it was lost is left to it for the grace period too.
WITH lost AS (
    SELECT workflow_uuid, executor_id, owner_xid
      FROM {schema}.workflow_status
     WHERE status = 'PENDING' AND executor_id = ANY(CAST(:executors AS text[]))
       AND coalesce(started_at_epoch_ms, updated_at) <= (extract(epoch FROM now()) * 1000)::bigint - :held_ms
       AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
       AND NOT EXISTS (SELECT FROM dbos_operator.executors AS alive
                        WHERE alive.system_schema = :system_schema
                          AND alive.executor_id = workflow_status.executor_id AND alive.gone_since_ms IS NULL)
     ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.workflow_status AS workflow
   SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
       queue_name = coalesce(workflow.queue_name, :internal_queue),
       updated_at = (extract(epoch FROM now()) * 1000)::bigint
  FROM lost
 WHERE workflow.workflow_uuid = lost.workflow_uuid
   AND workflow.executor_id = lost.executor_id AND workflow.owner_xid IS NOT DISTINCT FROM lost.owner_xid
RETURNING workflow.executor_id, workflow.queue_name

-- wake_workers
SELECT pg_notify('dbos_runtime', :payload)
