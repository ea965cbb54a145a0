-- schedules
-- Fragment: every column of a schedule.
SELECT schedule_id, schedule_name, workflow_name, workflow_class_name, schedule, status, context, last_fired_at,
       automatic_backfill, cron_timezone, queue_name, application_name
  FROM {schema}.workflow_schedules

-- load_schedule
{include schedules} WHERE schedule_name = :name

-- load_schedules
{include schedules} ORDER BY schedule_name

-- fired_here
-- Fragment: what a worker of an application fires: its own, and what nobody owns.
status = 'ACTIVE' AND {include own_or_unclaimed}

-- load_active_schedules
{include schedules} WHERE {include fired_here}

-- digest_active_schedules
-- Differs once another thing is to be fired, and not for what was fired: whoever compares it each second has no
-- rows to read.
SELECT md5(string_agg(json_build_array(
           schedule_id, schedule_name, workflow_name, workflow_class_name, schedule, context, cron_timezone,
           queue_name, application_name)::text, '' ORDER BY schedule_id)) AS digest
  FROM {schema}.workflow_schedules WHERE {include fired_here}

-- insert_schedule
INSERT INTO {schema}.workflow_schedules (
    schedule_id, schedule_name, workflow_name, workflow_class_name, schedule, context, automatic_backfill,
    cron_timezone, queue_name, application_name)
VALUES (:schedule_id, :schedule_name, :workflow_name, :workflow_class_name, :schedule, :context,
        :automatic_backfill, :cron_timezone, :queue_name, :application_name)
ON CONFLICT DO NOTHING
RETURNING schedule_id

-- update_schedule
-- A row that a DBOSSchedule resource manages (its ID starts with `k8s:`) is left to the operator; a row of
-- another application is never touched. Identity, status and what was fired stay.
UPDATE {schema}.workflow_schedules
   SET workflow_name = :workflow_name, workflow_class_name = :workflow_class_name, schedule = :schedule,
       context = :context, automatic_backfill = :automatic_backfill, cron_timezone = :cron_timezone,
       queue_name = :queue_name, application_name = COALESCE(application_name, :application_name)
 WHERE schedule_name = :schedule_name AND schedule_id NOT LIKE 'k8s:%'
   AND (application_name IS NULL OR CAST(:application_name AS text) IS NULL OR application_name = :application_name)
RETURNING schedule_id

-- set_schedule_status
UPDATE {schema}.workflow_schedules SET status = :status
 WHERE schedule_name = :name AND schedule_id NOT LIKE 'k8s:%'
RETURNING schedule_id

-- delete_schedule
DELETE FROM {schema}.workflow_schedules WHERE schedule_name = :name AND schedule_id NOT LIKE 'k8s:%'
RETURNING schedule_id

-- enqueue_runs
-- One round trip, since runs are to be on time. The ID makes a run happen once, whoever else starts it. A run of
-- a schedule goes in only while its row is active and says what the process that fires it knows: a pause holds
-- at once, in every process. The rows go in by their IDs in order, so that two processes never wait for each
-- other in a circle.
WITH run AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:runs AS json)) AS r(
        position int, workflow_id text, workflow_name text, class_name text, queue_name text, schedule_name text,
        application_name text, serialization text, inputs text, moment text, seen_id text, seen_schedule text,
        seen_timezone text, seen_context text)
), fired AS (
    INSERT INTO {schema}.workflow_status (
        workflow_uuid, status, name, class_name, queue_name, schedule_name, application_name, application_version,
        serialization, attributes, recovery_attempts, priority)
    SELECT run.workflow_id, 'ENQUEUED', run.workflow_name, run.class_name, run.queue_name, run.schedule_name,
           run.application_name, (
               SELECT version_name FROM {schema}.application_versions AS version
                WHERE run.application_name IS NULL OR version.application_name = run.application_name
                   OR version.application_name IS NULL
                ORDER BY version_timestamp DESC LIMIT 1),
           run.serialization, 'null'::jsonb, 0, 0
      FROM run
     WHERE run.seen_id IS NULL OR EXISTS (
           SELECT 1 FROM {schema}.workflow_schedules AS target
            WHERE target.schedule_name = run.schedule_name AND target.schedule_id = run.seen_id
              AND target.status = 'ACTIVE' AND target.schedule = run.seen_schedule
              AND target.context = run.seen_context AND target.workflow_name = run.workflow_name
              AND COALESCE(target.cron_timezone, '') = COALESCE(run.seen_timezone, '')
              AND COALESCE(target.queue_name, '_dbos_internal_queue') = run.queue_name
              AND COALESCE(target.workflow_class_name, '') = COALESCE(run.class_name, ''))
     ORDER BY run.workflow_id
    ON CONFLICT DO NOTHING
    RETURNING workflow_uuid
), written AS (
    INSERT INTO {schema}.workflow_input (workflow_uuid, inputs)
    SELECT run.workflow_id, run.inputs FROM run JOIN fired ON fired.workflow_uuid = run.workflow_id
    ON CONFLICT DO NOTHING
), noted AS (
    UPDATE {schema}.workflow_schedules AS target SET last_fired_at = latest.moment
      FROM (SELECT DISTINCT ON (run.seen_id) run.seen_id, run.moment
              FROM run JOIN fired ON fired.workflow_uuid = run.workflow_id
             WHERE run.moment IS NOT NULL ORDER BY run.seen_id, run.position DESC) AS latest
     WHERE target.schedule_id = latest.seen_id
)
SELECT workflow_uuid FROM fired
