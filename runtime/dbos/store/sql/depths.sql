-- list_busy_queues
-- The queues of everybody on which something waits or runs: each is found by one look into the index, however
-- many rows it has.
WITH RECURSIVE busy AS (
    SELECT min(first.queue_name) AS queue_name FROM {schema}.workflow_status first
     WHERE first.status IN ('ENQUEUED', 'PENDING')
    UNION ALL
    SELECT (SELECT min(next.queue_name) FROM {schema}.workflow_status next
             WHERE next.status IN ('ENQUEUED', 'PENDING') AND next.queue_name > busy.queue_name)
      FROM busy WHERE busy.queue_name IS NOT NULL
)
SELECT queue_name FROM busy WHERE queue_name IS NOT NULL LIMIT :most

-- own_seen
-- Fragment: of the rows that were looked at, those of this application (without one: of all) or of nobody.
(CAST(:application AS text) IS NULL OR seen.application_name = :application OR seen.application_name IS NULL)

-- load_depths
-- How many workflows of each queue wait and run, counted up to a bound, so that a large backlog costs no more,
-- and when the oldest one that waits was enqueued: the first of each priority, since that is the order of the
-- index. Rows of other applications are looked at, not counted, or they would have no bound; the order keeps
-- the planner from the table, of which most may be workflows that ended.
SELECT queue.name,
       (SELECT count(*) FROM (
           SELECT workflow.application_name FROM {schema}.workflow_status workflow
            WHERE workflow.queue_name = queue.name AND workflow.status = 'ENQUEUED'
              AND workflow.status IN ('ENQUEUED', 'PENDING')
            ORDER BY workflow.priority, workflow.created_at LIMIT :bound) AS seen
         WHERE {include own_seen}) AS enqueued,
       (SELECT count(*) FROM (
           SELECT workflow.application_name FROM {schema}.workflow_status workflow
            WHERE workflow.queue_name = queue.name AND workflow.status = 'PENDING'
              AND workflow.status IN ('ENQUEUED', 'PENDING')
            ORDER BY workflow.priority, workflow.created_at LIMIT :bound) AS seen
         WHERE {include own_seen}) AS pending,
       (WITH RECURSIVE level AS (
            SELECT min(first.priority) AS priority FROM {schema}.workflow_status first
             WHERE first.queue_name = queue.name AND first.status = 'ENQUEUED'
               AND first.status IN ('ENQUEUED', 'PENDING')
            UNION ALL
            SELECT (SELECT min(next.priority) FROM {schema}.workflow_status next
                     WHERE next.queue_name = queue.name AND next.status = 'ENQUEUED'
                       AND next.status IN ('ENQUEUED', 'PENDING') AND next.priority > level.priority)
              FROM level WHERE level.priority IS NOT NULL)
        SELECT min((SELECT min(seen.created_at) FROM (
                        SELECT workflow.created_at, workflow.application_name FROM {schema}.workflow_status workflow
                         WHERE workflow.queue_name = queue.name AND workflow.status = 'ENQUEUED'
                           AND workflow.status IN ('ENQUEUED', 'PENDING') AND workflow.priority = chosen.priority
                         ORDER BY workflow.created_at LIMIT 100) AS seen
                     WHERE {include own_seen}))
          FROM (SELECT level.priority FROM level WHERE level.priority IS NOT NULL LIMIT :levels) AS chosen) AS oldest_ms
  FROM json_to_recordset(:queues) AS queue(name text)

-- count_delayed
-- What waits for its time, by queue, up to a bound in all.
SELECT seen.queue_name AS name, count(*) AS delayed
  FROM (SELECT queue_name, application_name FROM {schema}.workflow_status
         WHERE status = 'DELAYED' AND queue_name IS NOT NULL LIMIT :bound) AS seen
 WHERE {include own_seen} GROUP BY seen.queue_name

-- count_stuck
-- What waits on some queues and cannot be taken: without a partition key on a queue that has partitions, or for
-- a function that processes of this application refused. Up to a bound for each queue.
SELECT queue.name,
       (SELECT count(*) FROM (
           SELECT workflow.application_name, workflow.queue_partition_key FROM {schema}.workflow_status workflow
            WHERE workflow.queue_name = queue.name AND workflow.status = 'ENQUEUED'
              AND workflow.status IN ('ENQUEUED', 'PENDING')
            ORDER BY workflow.priority, workflow.created_at LIMIT :bound) AS seen
         WHERE {include own_seen} AND seen.queue_partition_key IS NULL AND queue.partitioned = 'yes') AS keyless,
       (SELECT count(*) FROM (
           SELECT workflow.application_name, {include function_key} AS function FROM {schema}.workflow_status workflow
            WHERE workflow.queue_name = queue.name AND workflow.status = 'ENQUEUED'
              AND workflow.status IN ('ENQUEUED', 'PENDING')
            ORDER BY workflow.priority, workflow.created_at LIMIT :bound) AS seen
         WHERE {include own_seen} AND seen.function = ANY(:refused)) AS refused
  FROM json_to_recordset(:queues) AS queue(name text, partitioned text)

-- function_key
-- Fragment: what tells the function of a workflow from others, as ClaimedWorkflow.function_key does.
COALESCE(workflow.name, '')
    || CASE WHEN COALESCE(workflow.class_name, '') = '' THEN '' ELSE chr(31) || workflow.class_name END
    || CASE WHEN COALESCE(workflow.config_name, '') = '' THEN '' ELSE chr(31) || workflow.config_name END

-- list_served_queues
-- The queues with a row that processes of an application serve; without an application: of anybody.
SELECT name FROM {schema}.queues
 WHERE CAST(:application AS text) IS NULL OR application_name = :application OR application_name IS NULL

-- load_registered
-- Of some queues those that have a row, whose it is, and whether it has limits for partitions.
SELECT queue.name, queue.application_name,
       (queue.partition_concurrency IS NOT NULL OR queue.partition_worker_concurrency IS NOT NULL
        OR queue.partition_rate_limit_max IS NOT NULL) AS partitioned
  FROM {schema}.queues queue WHERE queue.name = ANY(:names)

-- record_refusals
-- This process has no such functions, for some time from now.
INSERT INTO dbos_runtime.refusals (system_schema, application, process, function_key, until_ms)
SELECT :system_schema, :application, :process, refused.function_key,
       (EXTRACT(epoch FROM now()) * 1000)::bigint + :held_ms
  FROM json_to_recordset(:functions) AS refused(function_key text) WHERE true
ON CONFLICT (system_schema, application, function_key, process) DO UPDATE SET until_ms = excluded.until_ms
RETURNING function_key

-- forget_refusals
-- What this process refused, when it ends, and what others refused long ago.
DELETE FROM dbos_runtime.refusals
 WHERE system_schema = :system_schema AND application = :application
   AND (process = :process OR until_ms <= (EXTRACT(epoch FROM now()) * 1000)::bigint)
RETURNING function_key

-- load_refused
-- The functions that processes refused lately, by application.
SELECT DISTINCT application, function_key FROM dbos_runtime.refusals
 WHERE system_schema = :system_schema AND until_ms > (EXTRACT(epoch FROM now()) * 1000)::bigint LIMIT :most

-- find_refusals
-- Whether that table can be read: applications may lack the right to make it.
SELECT EXISTS (
    SELECT 1 FROM pg_class AS relation JOIN pg_namespace AS place ON place.oid = relation.relnamespace
     WHERE place.nspname = 'dbos_runtime' AND relation.relname = 'refusals'
       AND has_schema_privilege(place.oid, 'USAGE') AND has_table_privilege(relation.oid, 'SELECT')) AS there
