-- load_depths
-- How many workflows of each queue wait or run, counted up to a bound so that a large backlog costs no more.
SELECT queue.name, sought.status,
       (SELECT count(*) FROM (
           SELECT 1 FROM workflow_status workflow
            WHERE workflow.queue_name = queue.name AND workflow.status = sought.status
              AND workflow.status IN ('ENQUEUED', 'PENDING')
              AND (workflow.application_name = :application OR workflow.application_name IS NULL)
            LIMIT :bound)) AS depth,
       CASE WHEN sought.status = 'ENQUEUED' THEN (
           SELECT min(created_at) FROM (
               SELECT created_at FROM workflow_status workflow
                WHERE workflow.queue_name = queue.name AND workflow.status = 'ENQUEUED'
                  AND workflow.status IN ('ENQUEUED', 'PENDING')
                  AND (workflow.application_name = :application OR workflow.application_name IS NULL)
                ORDER BY priority, created_at LIMIT 100)) END AS oldest_ms
  FROM (SELECT name FROM queues WHERE application_name = :application OR application_name IS NULL
        UNION SELECT :internal_queue) AS queue
 CROSS JOIN (SELECT 'ENQUEUED' AS status UNION ALL SELECT 'PENDING') AS sought
