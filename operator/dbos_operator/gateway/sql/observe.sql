-- observe_rows
-- Everything that is compared with resources, in one row of JSON.
SELECT (SELECT coalesce(json_agg(q), '[]')
          FROM (SELECT queue_id, name, application_name, concurrency, worker_concurrency, rate_limit_max,
                       rate_limit_period_sec, polling_interval_sec
                  FROM {schema}.queues WHERE name = ANY(CAST(:queues AS text[]))) AS q) AS queues,
       (SELECT coalesce(json_agg(s), '[]')
          FROM (SELECT schedule_id, schedule_name, application_name, workflow_name, workflow_class_name, schedule,
                       status, context, last_fired_at, cron_timezone, queue_name
                  FROM {schema}.workflow_schedules WHERE schedule_name = ANY(CAST(:schedules AS text[]))) AS s)
           AS schedules,
       (SELECT coalesce(json_agg(o), '[]') FROM dbos_operator.owned AS o WHERE o.system_schema = :system_schema)
           AS owned,
       (SELECT coalesce(json_agg(e), '[]') FROM dbos_operator.executors AS e WHERE e.system_schema = :system_schema)
           AS executors,
       (SELECT version_name FROM {schema}.application_versions
         WHERE :application::text IS NULL OR application_name = :application OR application_name IS NULL
         ORDER BY version_timestamp DESC LIMIT 1) AS latest_version,
       (SELECT max(version) FROM {schema}.dbos_migrations) AS schema_version

-- observe_demand
-- Counts stop at what a decision can use, so a long backlog costs what a short one does. `takeable` looks past
-- rows of versions that the target does not run, a bounded way; the index serves rows in this order.
WITH wanted AS (
    SELECT * FROM json_to_recordset(CAST(:wanted AS json))
        AS w(name text, bound integer, version text, rate_limited boolean)
), delayed AS (
    SELECT queue_name, json_agg(json_build_array(application_version, number)) AS counts
      FROM (SELECT queue_name, application_version, count(*) AS number
              FROM (SELECT queue_name, application_version
                      FROM {schema}.workflow_status
                     WHERE status = 'DELAYED'
                       AND delay_until_epoch_ms <= (extract(epoch FROM now()) * 1000)::bigint + :soon_ms
                       AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
                     ORDER BY delay_until_epoch_ms LIMIT :most_delayed) AS due
             GROUP BY queue_name, application_version) AS by_version
     GROUP BY queue_name
)
SELECT wanted.name, wanted.bound, takeable.counts AS takeable, takeable.oldest AS oldest_takeable,
       other.counts AS other, other.oldest AS oldest_other, running.number AS running, delayed.counts AS delayed,
       recent.duration_ms
  FROM wanted
  LEFT JOIN delayed ON delayed.queue_name = wanted.name
 CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(application_version, number)) AS counts, min(oldest) AS oldest
      FROM (SELECT application_version, count(*) AS number, min(created_at) AS oldest
              FROM (SELECT application_version, created_at
                      FROM (SELECT application_version, created_at
                              FROM {schema}.workflow_status
                             WHERE queue_name = wanted.name AND status = 'ENQUEUED'
                               AND (:application::text IS NULL OR application_name = :application
                                    OR application_name IS NULL)
                             ORDER BY priority, created_at
                             LIMIT greatest(:look_past, wanted.bound)) AS front
                     WHERE application_version IS NULL OR application_version = wanted.version
                     LIMIT wanted.bound) AS counted
             GROUP BY application_version) AS by_version) AS takeable
 CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(application_version, number)) AS counts, min(oldest) AS oldest
      FROM (SELECT application_version, count(*) AS number, min(created_at) AS oldest
              FROM (SELECT application_version, created_at
                      FROM {schema}.workflow_status
                     WHERE queue_name = wanted.name AND status = 'ENQUEUED'
                       AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
                     ORDER BY priority, created_at LIMIT wanted.bound) AS front
             WHERE application_version IS NOT NULL AND application_version IS DISTINCT FROM wanted.version
             GROUP BY application_version) AS by_version) AS other
 CROSS JOIN LATERAL (
    SELECT count(*) AS number
      FROM (SELECT FROM {schema}.workflow_status
             WHERE queue_name = wanted.name AND status = 'PENDING'
               AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
             LIMIT wanted.bound) AS counted) AS running
 CROSS JOIN LATERAL (
    SELECT avg(completed_at - started_at_epoch_ms)::float8 AS duration_ms
      FROM (SELECT completed_at, started_at_epoch_ms
              FROM {schema}.workflow_status
             WHERE wanted.rate_limited AND queue_name = wanted.name AND rate_limited = true
               AND started_at_epoch_ms IS NOT NULL
             ORDER BY started_at_epoch_ms DESC LIMIT 200) AS started
     WHERE completed_at IS NOT NULL) AS recent

-- observe_running
-- Which executor has how much in its hands. Oldest first: what a lost executor left is among the oldest.
SELECT executor_id, application_version, count(*) AS number
  FROM (SELECT executor_id, application_version
          FROM {schema}.workflow_status
         WHERE status = 'PENDING' AND executor_id IS NOT NULL
           AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
         ORDER BY created_at LIMIT :most_running) AS counted
 GROUP BY executor_id, application_version
