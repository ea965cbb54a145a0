-- digest_active_schedules
SELECT group_concat(entry, '') AS digest FROM (
    SELECT json_array(
               schedule_id, schedule_name, workflow_name, workflow_class_name, schedule, context, cron_timezone,
               queue_name, application_name) AS entry
      FROM workflow_schedules
     WHERE {include fired_here}
     ORDER BY schedule_id)

-- insert_runs
INSERT INTO workflow_status (
    workflow_uuid, status, name, class_name, queue_name, schedule_name, application_name, application_version,
    serialization, attributes, recovery_attempts, priority, created_at, updated_at)
SELECT run.workflow_id, 'ENQUEUED', run.workflow_name, run.class_name, run.queue_name, run.schedule_name,
       run.application_name, (
           SELECT version_name FROM application_versions AS version
            WHERE run.application_name IS NULL OR version.application_name = run.application_name
               OR version.application_name IS NULL
            ORDER BY version_timestamp DESC LIMIT 1),
       run.serialization, 'null', 0, 0,
       (EXTRACT(epoch FROM now()) * 1000)::bigint, (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_to_recordset(:runs) AS run(
       workflow_id text, workflow_name text, class_name text, queue_name text, schedule_name text,
       application_name text, serialization text, seen_id text, seen_schedule text, seen_timezone text,
       seen_context text)
 WHERE run.seen_id IS NULL OR EXISTS (
       SELECT 1 FROM workflow_schedules AS target
        WHERE target.schedule_name = run.schedule_name AND target.schedule_id = run.seen_id
          AND target.status = 'ACTIVE' AND target.schedule = run.seen_schedule AND target.context = run.seen_context
          AND target.workflow_name = run.workflow_name
          AND COALESCE(target.cron_timezone, '') = COALESCE(run.seen_timezone, '')
          AND COALESCE(target.queue_name, '_dbos_internal_queue') = run.queue_name
          AND COALESCE(target.workflow_class_name, '') = COALESCE(run.class_name, ''))
ON CONFLICT DO NOTHING
RETURNING workflow_uuid

-- insert_run_inputs
INSERT INTO workflow_input (workflow_uuid, inputs, retention_timestamp)
SELECT run.workflow_id, run.inputs, (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM json_to_recordset(:runs) AS run(workflow_id text, inputs text)
 WHERE run.workflow_id = ANY(:ids)
ON CONFLICT DO NOTHING

-- note_fired
-- In the order of the runs, so that the last one of a schedule stays.
UPDATE workflow_schedules SET last_fired_at = (
       SELECT run.moment FROM json_to_recordset(:runs) AS run(
              position int, workflow_id text, moment text, seen_id text)
        WHERE run.seen_id = workflow_schedules.schedule_id AND run.workflow_id = ANY(:ids)
        ORDER BY run.position DESC LIMIT 1)
 WHERE schedule_id IN (
       SELECT run.seen_id FROM json_to_recordset(:runs) AS run(workflow_id text, moment text, seen_id text)
        WHERE run.moment IS NOT NULL AND run.workflow_id = ANY(:ids))
