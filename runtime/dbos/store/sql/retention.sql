-- above
-- Fragment: those that a workflow descends from, its parent, the parent's parent and so on.
above AS (
    SELECT parent.workflow_uuid, parent.parent_workflow_id, parent.status, parent.completed_at
      FROM {schema}.workflow_status parent
     WHERE parent.workflow_uuid = workflow.parent_workflow_id
    UNION
    SELECT parent.workflow_uuid, parent.parent_workflow_id, parent.status, parent.completed_at
      FROM above JOIN {schema}.workflow_status parent ON parent.workflow_uuid = above.parent_workflow_id)
SELECT 1 FROM above

-- of_application
-- Fragment: an application's own workflows, and those of nobody.
(workflow.application_name = :application OR workflow.application_name IS NULL)

-- counted
-- Fragment: whether a rate limit still counts the start of a workflow. Without the row it would start too many.
workflow.rate_limited = true AND EXISTS (
    SELECT 1 FROM {schema}.queues queue
     WHERE queue.name = workflow.queue_name
       AND (workflow.started_at_epoch_ms > (EXTRACT(epoch FROM now()) * 1000.0) - 1000.0 * queue.rate_limit_period_sec
            OR workflow.started_at_epoch_ms
               > (EXTRACT(epoch FROM now()) * 1000.0) - 1000.0 * queue.partition_rate_limit_period_sec))

-- lock_ended
-- The oldest workflows that ended, with rows held so that none can be rewound meanwhile; what another
-- process deletes at the moment is left to it. What descends from a workflow that may still run is kept: its
-- result may be asked for.
SELECT workflow.workflow_uuid FROM {schema}.workflow_status workflow
 WHERE workflow.created_at < :cutoff_ms
   AND workflow.status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
   AND {include of_application}
   AND NOT ({include counted})
   AND NOT EXISTS (WITH RECURSIVE {include above} WHERE above.status IN ('PENDING', 'ENQUEUED', 'DELAYED'))
 ORDER BY workflow.created_at, workflow.workflow_uuid LIMIT :batch FOR UPDATE OF workflow SKIP LOCKED

-- load_completion_cutoff
-- What ended before a time is to go, by the database's clock: long enough ago, or before the last one that is
-- kept for its number, but never at once: who waits for a result must be able to read it, and a scheduler that
-- is late must find the run that another one started. The index on completed_at serves the number.
SELECT (EXTRACT(epoch FROM now()) * 1000)::bigint - :max_age_ms AS aged_ms,
       (EXTRACT(epoch FROM now()) * 1000)::bigint - :min_age_ms AS latest_ms,
       (SELECT workflow.completed_at FROM {schema}.workflow_status workflow
         WHERE :keep > 0 AND workflow.completed_at IS NOT NULL AND {include of_application}
         ORDER BY workflow.completed_at DESC LIMIT 1 OFFSET :before) AS kept_ms

-- lock_completed
-- As lock_ended, by the time of the end. A child goes with its parent or after it, so that who looks at a
-- workflow finds its children too. The index on completed_at gives the rows in this order; :after_ms spares a
-- second look at what was kept.
SELECT workflow.workflow_uuid, workflow.completed_at AS ended_ms FROM {schema}.workflow_status workflow
 WHERE workflow.completed_at >= :after_ms AND workflow.completed_at < :cutoff_ms
   AND workflow.status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
   AND {include of_application}
   AND NOT ({include counted})
   AND NOT EXISTS (WITH RECURSIVE {include above} WHERE above.status IN ('PENDING', 'ENQUEUED', 'DELAYED')
                                       OR above.completed_at >= :cutoff_ms)
 ORDER BY workflow.completed_at LIMIT :batch FOR UPDATE OF workflow SKIP LOCKED

-- lock_unstamped
-- The same for workflows of older releases, whose rows do not tell when they ended: by their creation.
SELECT workflow.workflow_uuid, workflow.created_at AS ended_ms FROM {schema}.workflow_status workflow
 WHERE workflow.created_at >= :after_ms AND workflow.created_at < :cutoff_ms AND workflow.completed_at IS NULL
   AND workflow.status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
   AND {include of_application}
   AND NOT ({include counted})
   AND NOT EXISTS (WITH RECURSIVE {include above} WHERE above.status IN ('PENDING', 'ENQUEUED', 'DELAYED')
                                       OR above.completed_at >= :cutoff_ms)
 ORDER BY workflow.created_at LIMIT :batch FOR UPDATE OF workflow SKIP LOCKED

-- load_nth_newest
SELECT created_at FROM {schema}.workflow_status
 WHERE application_name = :application OR application_name IS NULL
 ORDER BY created_at DESC LIMIT 1 OFFSET :before

-- list_active_before
SELECT workflow_uuid FROM {schema}.workflow_status
 WHERE created_at < :cutoff_ms AND status IN ('PENDING', 'ENQUEUED', 'DELAYED')
   AND (application_name = :application OR application_name IS NULL)
 ORDER BY created_at, workflow_uuid LIMIT :batch
