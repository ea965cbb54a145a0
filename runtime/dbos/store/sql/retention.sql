-- lock_ended
-- The oldest workflows that ended, with rows held so that none can be rewound meanwhile; what another
-- process deletes at the moment is left to it. A child whose parent still runs is kept: the parent may ask
-- for its result.
SELECT workflow.workflow_uuid FROM {schema}.workflow_status workflow
 WHERE workflow.created_at < :cutoff_ms
   AND workflow.status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
   AND (workflow.application_name = :application OR workflow.application_name IS NULL)
   AND NOT EXISTS (
       SELECT 1 FROM {schema}.workflow_status parent
        WHERE parent.workflow_uuid = workflow.parent_workflow_id
          AND parent.status IN ('PENDING', 'ENQUEUED', 'DELAYED'))
 ORDER BY workflow.created_at, workflow.workflow_uuid LIMIT :batch FOR UPDATE OF workflow SKIP LOCKED

-- load_nth_newest
SELECT created_at FROM {schema}.workflow_status
 WHERE application_name = :application OR application_name IS NULL
 ORDER BY created_at DESC LIMIT 1 OFFSET :before

-- list_active_before
SELECT workflow_uuid FROM {schema}.workflow_status
 WHERE created_at < :cutoff_ms AND status IN ('PENDING', 'ENQUEUED', 'DELAYED')
   AND (application_name = :application OR application_name IS NULL)
 ORDER BY created_at, workflow_uuid LIMIT :batch
