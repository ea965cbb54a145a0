-- limit_sample
SELECT set_config('statement_timeout', :timeout, true)

-- sample_depths
SELECT queue_name, status, count(*) AS number, min(created_at) AS oldest
  FROM {schema}.workflow_status
 WHERE status IN ('ENQUEUED', 'PENDING') AND queue_name IS NOT NULL
   AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
 GROUP BY queue_name, status
UNION ALL
SELECT queue_name, status, count(*), min(created_at)
  FROM {schema}.workflow_status
 WHERE status = 'DELAYED' AND queue_name IS NOT NULL
   AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
 GROUP BY queue_name, status

-- sample_completed
-- A row shows its time of completion only once its transaction has committed, so the last seconds are counted
-- again at the next sample: `settled` will not change any more, `recent` may.
WITH moment AS (SELECT (extract(epoch FROM now()) * 1000)::bigint - :settling_ms AS settled_until)
SELECT queue_name, status, count(*) FILTER (WHERE completed_at <= settled_until) AS settled,
       count(*) FILTER (WHERE completed_at > settled_until) AS recent
  FROM {schema}.workflow_status, moment
 WHERE completed_at > :since_ms
   AND (:application::text IS NULL OR application_name = :application OR application_name IS NULL)
 GROUP BY queue_name, status

-- sample_moment
SELECT (extract(epoch FROM now()) * 1000)::bigint AS now_ms
