-- queue_columns
-- Fragment: all that tells the limits of a queue.
queue.queue_id, queue.name, queue.concurrency, queue.worker_concurrency, queue.rate_limit_max,
queue.rate_limit_period_sec, queue.partition_concurrency, queue.partition_worker_concurrency,
queue.partition_rate_limit_max, queue.partition_rate_limit_period_sec, queue.polling_interval_sec,
queue.application_name

-- load_queues
-- The queues that this application may serve, and whether anything waits there: one statement a second
-- finds work that other SDKs enqueue, whatever the number of queues.
SELECT {include queue_columns},
       EXISTS (SELECT 1 FROM {schema}.workflow_status workflow
                WHERE workflow.queue_name = queue.name AND workflow.status = 'ENQUEUED'
                  AND (workflow.application_name = :application OR workflow.application_name IS NULL)) AS runnable
  FROM {schema}.queues queue
 WHERE queue.application_name = :application OR queue.application_name IS NULL
UNION ALL
SELECT '', unstored.name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1.0, NULL,
       EXISTS (SELECT 1 FROM {schema}.workflow_status workflow
                WHERE workflow.queue_name = unstored.name AND workflow.status = 'ENQUEUED'
                  AND (workflow.application_name = :application OR workflow.application_name IS NULL))
  FROM unnest(CAST(:unstored AS text[])) AS unstored(name)

-- load_queue
SELECT {include queue_columns} FROM {schema}.queues queue WHERE queue.name = :name

-- list_queues
SELECT {include queue_columns} FROM {schema}.queues queue ORDER BY queue.name

-- insert_queue
INSERT INTO {schema}.queues (
    name, concurrency, worker_concurrency, rate_limit_max, rate_limit_period_sec, partition_concurrency,
    partition_worker_concurrency, partition_rate_limit_max, partition_rate_limit_period_sec, priority_enabled,
    partition_queue, polling_interval_sec, updated_at, application_name)
VALUES (:name, :concurrency, :worker_concurrency, :rate_limit_max, :rate_limit_period_sec, :partition_concurrency,
        :partition_worker_concurrency, :partition_rate_limit_max, :partition_rate_limit_period_sec, true,
        :partitioned, :polling_interval_sec, :now_ms, :application)
ON CONFLICT DO NOTHING
RETURNING queue_id

-- update_queue
-- A row that a DBOSQueue resource manages (its ID starts with `k8s:`) is left to the operator; a row of
-- another application is never touched.
UPDATE {schema}.queues
   SET concurrency = :concurrency, worker_concurrency = :worker_concurrency, rate_limit_max = :rate_limit_max,
       rate_limit_period_sec = :rate_limit_period_sec, partition_concurrency = :partition_concurrency,
       partition_worker_concurrency = :partition_worker_concurrency,
       partition_rate_limit_max = :partition_rate_limit_max,
       partition_rate_limit_period_sec = :partition_rate_limit_period_sec, partition_queue = :partitioned,
       priority_enabled = true, polling_interval_sec = :polling_interval_sec, updated_at = :now_ms,
       application_name = COALESCE(application_name, :application)
 WHERE name = :name AND queue_id NOT LIKE 'k8s:%'
   AND (application_name = :application OR application_name IS NULL)
RETURNING queue_id

-- change_queue
-- The limits of a queue that is locked.
UPDATE {schema}.queues
   SET concurrency = :concurrency, worker_concurrency = :worker_concurrency, rate_limit_max = :rate_limit_max,
       rate_limit_period_sec = :rate_limit_period_sec, partition_concurrency = :partition_concurrency,
       partition_worker_concurrency = :partition_worker_concurrency,
       partition_rate_limit_max = :partition_rate_limit_max,
       partition_rate_limit_period_sec = :partition_rate_limit_period_sec, partition_queue = :partitioned,
       polling_interval_sec = :polling_interval_sec, updated_at = :now_ms
 WHERE name = :name
RETURNING queue_id

-- lock_queue
SELECT {include queue_columns} FROM {schema}.queues queue WHERE queue.name = :name FOR UPDATE

-- delete_queue
DELETE FROM {schema}.queues WHERE name = :name AND queue_id NOT LIKE 'k8s:%' RETURNING queue_id
