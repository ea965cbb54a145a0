-- insert_queues
INSERT INTO {schema}.queues (
    queue_id, name, concurrency, worker_concurrency, rate_limit_max, rate_limit_period_sec, polling_interval_sec,
    priority_enabled, partition_queue, application_name)
SELECT row_id, name, concurrency, worker_concurrency, rate_limit_max, rate_limit_period_sec, polling_interval_sec,
       true, false, application_name
  FROM json_to_recordset(CAST(:rows AS json))
    AS wanted(row_id text, name text, application_name text, concurrency integer, worker_concurrency integer,
              rate_limit_max integer, rate_limit_period_sec float8, polling_interval_sec float8)
 ORDER BY name
ON CONFLICT DO NOTHING
RETURNING name

-- insert_schedules
INSERT INTO {schema}.workflow_schedules (
    schedule_id, schedule_name, workflow_name, workflow_class_name, schedule, status, context, automatic_backfill,
    cron_timezone, queue_name, application_name)
SELECT row_id, name, workflow_name, workflow_class_name, schedule, status, context, false, cron_timezone, queue_name,
       application_name
  FROM json_to_recordset(CAST(:rows AS json))
    AS wanted(row_id text, name text, application_name text, workflow_name text, workflow_class_name text,
              schedule text, status text, context text, cron_timezone text, queue_name text)
 ORDER BY name
ON CONFLICT DO NOTHING
RETURNING schedule_name AS name

-- insert_records
INSERT INTO dbos_operator.owned (
    system_schema, kind, name, cluster_id, uid, namespace, resource, applied, source, previous, active_since_ms,
    zone_before, zone_changed_at_ms)
SELECT :system_schema, kind, name, cluster_id, uid, namespace, resource, applied, source, previous, active_since_ms,
       zone_before, zone_changed_at_ms
  FROM json_to_recordset(CAST(:rows AS json))
    AS wanted(kind text, name text, cluster_id text, uid text, namespace text, resource text, applied jsonb,
              source text, previous jsonb, active_since_ms bigint, zone_before text, zone_changed_at_ms bigint)
 ORDER BY kind, name
ON CONFLICT DO NOTHING
RETURNING kind, name

-- update_records
-- Only where the record still is the one that was read.
UPDATE dbos_operator.owned AS record
   SET cluster_id = wanted.cluster_id, uid = wanted.uid, namespace = wanted.namespace, resource = wanted.resource,
       applied = wanted.applied, source = wanted.source, previous = wanted.previous,
       active_since_ms = wanted.active_since_ms, zone_before = wanted.zone_before,
       zone_changed_at_ms = wanted.zone_changed_at_ms
  FROM json_to_recordset(CAST(:rows AS json))
    AS wanted(kind text, name text, cluster_id text, uid text, uid_seen text, namespace text, resource text,
              applied jsonb, source text, previous jsonb, active_since_ms bigint, zone_before text,
              zone_changed_at_ms bigint)
 WHERE record.system_schema = :system_schema AND record.kind = wanted.kind AND record.name = wanted.name
   AND record.uid = wanted.uid_seen
RETURNING record.kind, record.name

-- update_queues
-- Only the columns that change, only where they still are what was read, only as their recorded owner.
UPDATE {schema}.queues AS queue
   SET concurrency = CASE WHEN change ? 'concurrency' THEN (change ->> 'concurrency')::integer
                          ELSE queue.concurrency END,
       worker_concurrency = CASE WHEN change ? 'worker_concurrency' THEN (change ->> 'worker_concurrency')::integer
                                 ELSE queue.worker_concurrency END,
       rate_limit_max = CASE WHEN change ? 'rate_limit_max' THEN (change ->> 'rate_limit_max')::integer
                             ELSE queue.rate_limit_max END,
       rate_limit_period_sec = CASE WHEN change ? 'rate_limit_period_sec'
                                    THEN (change ->> 'rate_limit_period_sec')::float8
                                    ELSE queue.rate_limit_period_sec END,
       polling_interval_sec = CASE WHEN change ? 'polling_interval_sec'
                                   THEN (change ->> 'polling_interval_sec')::float8
                                   ELSE queue.polling_interval_sec END,
       application_name = coalesce(wanted.application_name, queue.application_name),
       updated_at = (extract(epoch FROM now()) * 1000)::bigint
  FROM json_to_recordset(CAST(:rows AS json))
    AS wanted(name text, row_id text, uid text, seen jsonb, change jsonb, application_name text)
  JOIN dbos_operator.owned AS record
    ON record.system_schema = :system_schema AND record.kind = 'DBOSQueue' AND record.name = wanted.name
   AND record.uid = wanted.uid
 WHERE queue.name = wanted.name AND queue.queue_id = wanted.row_id AND to_jsonb(queue) @> wanted.seen
RETURNING queue.name

-- update_schedules
-- The table has a column `schedule`: no alias may be called so where a whole row is meant.
UPDATE {schema}.workflow_schedules AS target
   SET workflow_name = CASE WHEN change ? 'workflow_name' THEN change ->> 'workflow_name'
                            ELSE target.workflow_name END,
       workflow_class_name = CASE WHEN change ? 'workflow_class_name' THEN change ->> 'workflow_class_name'
                                  ELSE target.workflow_class_name END,
       schedule = CASE WHEN change ? 'schedule' THEN change ->> 'schedule' ELSE target.schedule END,
       status = CASE WHEN change ? 'status' THEN change ->> 'status' ELSE target.status END,
       context = CASE WHEN change ? 'context' THEN change ->> 'context' ELSE target.context END,
       cron_timezone = CASE WHEN change ? 'cron_timezone' THEN change ->> 'cron_timezone'
                            ELSE target.cron_timezone END,
       queue_name = CASE WHEN change ? 'queue_name' THEN change ->> 'queue_name' ELSE target.queue_name END,
       application_name = coalesce(wanted.application_name, target.application_name)
  FROM json_to_recordset(CAST(:rows AS json))
    AS wanted(name text, row_id text, uid text, seen jsonb, change jsonb, application_name text)
  JOIN dbos_operator.owned AS record
    ON record.system_schema = :system_schema AND record.kind = 'DBOSSchedule' AND record.name = wanted.name
   AND record.uid = wanted.uid
 WHERE target.schedule_name = wanted.name AND target.schedule_id = wanted.row_id
   AND to_jsonb(target) @> wanted.seen
RETURNING target.schedule_name AS name

-- pause_schedules
-- As the recorded owner, or, where nobody is recorded, as the one whose mark the row carries.
UPDATE {schema}.workflow_schedules AS schedule
   SET status = 'PAUSED'
  FROM json_to_recordset(CAST(:rows AS json)) AS gone(name text, row_id text, uid text)
  LEFT JOIN dbos_operator.owned AS record
    ON record.system_schema = :system_schema AND record.kind = 'DBOSSchedule' AND record.name = gone.name
 WHERE schedule.schedule_name = gone.name AND schedule.schedule_id = gone.row_id
   AND coalesce(record.uid, substring(schedule.schedule_id FROM '^k8s:.*:([^:]*)$')) = gone.uid
RETURNING schedule.schedule_name AS name

-- delete_schedules
DELETE FROM {schema}.workflow_schedules AS schedule
 USING json_to_recordset(CAST(:rows AS json)) AS gone(name text, row_id text, uid text)
  LEFT JOIN dbos_operator.owned AS record
    ON record.system_schema = :system_schema AND record.kind = 'DBOSSchedule' AND record.name = gone.name
 WHERE schedule.schedule_name = gone.name AND schedule.schedule_id = gone.row_id
   AND coalesce(record.uid, substring(schedule.schedule_id FROM '^k8s:.*:([^:]*)$')) = gone.uid
RETURNING schedule.schedule_name AS name

-- delete_queues
-- Only an empty queue: rows on a queue that is gone would never run.
DELETE FROM {schema}.queues AS queue
 USING json_to_recordset(CAST(:rows AS json)) AS gone(name text, row_id text, uid text)
  LEFT JOIN dbos_operator.owned AS record
    ON record.system_schema = :system_schema AND record.kind = 'DBOSQueue' AND record.name = gone.name
 WHERE queue.name = gone.name AND queue.queue_id = gone.row_id
   AND coalesce(record.uid, substring(queue.queue_id FROM '^k8s:.*:([^:]*)$')) = gone.uid
   AND NOT EXISTS (SELECT FROM {schema}.workflow_status AS workflow
                    WHERE workflow.queue_name = queue.name AND workflow.status IN ('ENQUEUED', 'PENDING'))
   AND NOT EXISTS (SELECT FROM {schema}.workflow_status AS workflow
                    WHERE workflow.queue_name = queue.name AND workflow.status = 'DELAYED')
RETURNING queue.name

-- delete_records
DELETE FROM dbos_operator.owned AS record
 USING json_to_recordset(CAST(:rows AS json)) AS gone(kind text, name text, uid text)
 WHERE record.system_schema = :system_schema AND record.kind = gone.kind AND record.name = gone.name
   AND record.uid = gone.uid
RETURNING record.kind, record.name
